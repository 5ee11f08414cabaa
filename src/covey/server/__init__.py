"""The server: OpenAI's HTTP interface over `AsyncLLM`, watched, and safe to leave running. Needs the extra `server`.

from covey.server.app import create_app
"""
