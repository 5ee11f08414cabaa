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

# As Qwen 2.5's: a system turn of its own where there is none, results together in one turn of the user's, and nothing at all for
# roles that it does not know.
CHATML = r"""
{%- macro turn(role, text) %}{{ "<|im_start|>" ~ role ~ "\n" ~ text ~ "<|im_end|>\n" }}{% endmacro -%}
{%- set begins = messages[0].role == "system" -%}
{%- set told = messages[0].content if begins else "You are a bird." -%}
{%- if tools -%}
{%- set listed -%}
{{ "\n\n# Tools\n\n<tools>" }}{% for tool in tools %}{{ "\n" ~ (tool | tojson) }}{% endfor %}{{ "\n</tools>\n\nCall one so:\n" -}}
{{ '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' }}
{%- endset -%}
{%- set told = told ~ listed -%}
{%- endif -%}
{{ turn("system", told) }}
{%- for m in (messages[1:] if begins else messages) -%}
{%- if m.role == "tool" -%}
{%- if loop.first or loop.previtem.role != "tool" %}{{ "<|im_start|>user" }}{% endif -%}
{{ "\n<tool_response>\n" ~ m.content ~ "\n</tool_response>" }}
{%- if loop.last or loop.nextitem.role != "tool" %}{{ "<|im_end|>\n" }}{% endif -%}
{%- elif m.tool_calls -%}
{{ "<|im_start|>assistant" }}{% if m.content %}{{ "\n" ~ m.content }}{% endif -%}
{%- for call in m.tool_calls -%}
{{ '\n<tool_call>\n{"name": "' ~ call.function.name ~ '", "arguments": ' ~ (call.function.arguments | tojson) ~ "}\n</tool_call>" }}
{%- endfor -%}
{{ "<|im_end|>\n" }}
{%- elif m.role in ("user", "assistant", "system") -%}
{{ turn(m.role, m.content) }}
{%- endif -%}
{%- endfor -%}
{{ "<|im_start|>assistant\n" }}"""

CODER = "{% for m in messages %}<tool_call><function=NAME><parameter=KEY>{{ m.content }}{% endfor %}"
PLAIN = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>assistant: "

TEMPLATES = {"hermes": HERMES, "llama3": LLAMA3, "mistral": MISTRAL}
