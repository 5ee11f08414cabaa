"""Chat templates in the ways of three families of models, as short as they can be: tools, calls and results."""

HERMES = """{%- if tools %}<s>system: # Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}For each call return:
<tool_call>
{\"name\": <function-name>, \"arguments\": <args-json-object>}
</tool_call></s>{% endif %}
{%- for m in messages %}<s>{{ m.role }}: {{ m.content }}
{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}</s>{% endfor %}<s>assistant: """

LLAMA3 = """{%- if tools %}<s>system: Environment: ipython
Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</s>{% endif %}
{%- for m in messages %}<s>{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}{{ raise_exception("one call at once") }}{% endif -%}
assistant: {"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}
{%- elif m.role == "tool" %}ipython: {{ m.content }}{% else %}{{ m.role }}: {{ m.content }}{% endif %}</s>{% endfor %}<s>assistant: """

MISTRAL = """{%- if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for m in messages %}{% if m.tool_calls %}[TOOL_CALLS] [
{%- for call in m.tool_calls %}{% if call.id | length != 9 %}{{ raise_exception("ids have 9 characters") }}{% endif -%}
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}{% endfor %}]</s>
{%- elif m.role == "tool" %}[TOOL_RESULTS] {"content": {{ m.content }}, "call_id": "{{ m.tool_call_id }}"}[/TOOL_RESULTS]
{%- else %}[INST] {{ m.content }}[/INST]{% endif %}{% endfor %}"""

CODER = "{% for m in messages %}<tool_call><function=NAME><parameter=KEY>{{ m.content }}{% endfor %}"
PLAIN = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>assistant: "

TEMPLATES = {"hermes": HERMES, "llama3": LLAMA3, "mistral": MISTRAL}
