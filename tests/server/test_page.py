"""The page, in a browser: it asks for a key, moves with the load, colours what was drafted, changes what the admin says, shows alerts.

Waits are for conditions; no test knows how long anything takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from importlib.resources import files

import pytest

from covey.config import ServerConfig
from covey.drafters import CollectiveDrafter, SuffixDrafter
from covey.server import dashboard
from covey.server.keys import Caller, Keys
from tests.server.running import KEY, PacedTarget, eventually, running

ADMIN = "key-of-the-administrator"
PROMPT = "the birds sing, the birds sing over the hill"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def members():
    one, other = SuffixDrafter(min_match=1), SuffixDrafter(min_match=2)
    one.name, other.name = "one", "other"
    return [CollectiveDrafter([one, other])]


@pytest.fixture(scope="module")
def paced():
    """A server whose target can be held up, and which finds that stuck soon."""
    target = PacedTarget()
    target.free.set()
    config = ServerConfig(port=0, watchdog_seconds=0.3, alert_seconds=0)
    with running(target, config=config, keys=Keys({"first": KEY}, ADMIN), drafters=members()) as server:
        yield server, target
        target.free.set()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt install chromium")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root there is no sandbox to be had
        found = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@contextlib.contextmanager
def opened(browser, server, but: str = "no exception", **options):
    """A page that has come in; afterwards there must be nothing in its console, a violated policy neither, but what has this text in it."""
    context = browser.new_context(**options)
    page, wrong = context.new_page(), []
    page.set_default_timeout(60_000)
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(server.url) or KEY in request.url else None)
    page.goto(f"{server.url}/")
    page.fill("#key", KEY)
    page.click("#ask-key button")
    page.wait_for_selector("#state[data-state=ready]")
    page.wait_for_selector("#chart-rate canvas")
    yield page
    context.close()
    assert [each for each in wrong if but not in each] == []


@pytest.fixture
def page(browser, paced):
    with opened(browser, paced[0]) as found:
        yield found


@pytest.fixture
def load(paced):
    """Requests, one after another, until the test ends."""
    server, _ = paced
    done = threading.Event()

    def run():
        client = server.openai(KEY)
        while not done.is_set():
            client.completions.create(model="toy", prompt=PROMPT, max_tokens=200, extra_body={"ignore_eos": True, "label": "birds"})

    thread = threading.Thread(target=run)
    thread.start()
    yield
    done.set()
    thread.join()


def until(page, holds: str) -> None:
    """Playwright's own wait_for_function evaluates a text within the page, which the page's policy forbids."""
    assert eventually(lambda: page.evaluate(holds), seconds=60), holds


def text(page, name: str) -> str:
    return page.text_content(f"#{name}")


@pytest.mark.usefixtures("load")
def test_values_move_with_the_load(page):
    until(page, "parseFloat(document.getElementById('rate').textContent) > 0")
    first = text(page, "rate")
    until(page, f"document.getElementById('rate').textContent !== {first!r}")
    until(page, "document.getElementById('acceptance').textContent.endsWith('%')")
    until(page, "document.querySelectorAll('#lengths div:not(.empty)').length > 1")
    until(page, "document.getElementById('requests').textContent.includes('birds')")
    until(page, "document.getElementById('labels').textContent.includes('birds')")
    until(page, "document.querySelectorAll('#chart-acceptance .legend li').length > 0")
    for chart in ("members", "weights"):
        until(page, f"document.querySelectorAll('#chart-{chart} .legend li').length === 2")
        until(page, f"/[0-9]/.test(document.querySelector('#chart-{chart} .legend li b').textContent)")
        legend = "".join(page.locator(f"#chart-{chart} .legend li").all_text_contents())
        assert "one" in legend and "other" in legend


def test_the_playground_streams_an_answer_with_the_colours_of_its_drafters(page, paced):
    server, _ = paced
    page.fill("#prompt", PROMPT)
    page.fill("#most", "120")
    page.click("#send")
    page.wait_for_selector("#answer .drafted")
    page.wait_for_selector("#send:visible")
    shown = text(page, "answer")
    chat = server.openai(KEY).chat.completions.create(
        model="toy", messages=[{"role": "user", "content": PROMPT}], max_tokens=120, temperature=0
    )
    assert shown == chat.choices[0].message.content
    spans = page.locator("#answer .drafted")
    drafters = {name for number in range(spans.count()) for name in spans.nth(number).get_attribute("data-drafters").split()}
    assert drafters and drafters <= {"one", "other"}
    assert "gradient" in spans.first.evaluate("span => getComputedStyle(span).backgroundImage")
    legend = " ".join(page.locator("#who li").all_text_contents())
    assert all(name in legend for name in drafters) and "the target itself" in legend
    assert "of drafted tokens accepted" in text(page, "sums")


def test_what_was_written_by_others_is_only_text(page):
    page.fill("#prompt", "hello")
    page.fill("#label", "<img src=x onerror=alert(1)>")
    page.fill("#most", "30")
    page.click("#send")
    page.wait_for_selector("#send:visible")
    assert page.locator("img[src=x]").count() == 0


def test_a_refusal_is_shown(browser, paced):
    with opened(browser, paced[0], but="status of 400") as page:
        page.fill("#prompt", "x" * 6000)
        page.click("#send")
        until(page, "document.getElementById('playground-wrong').textContent.includes('max_model_len')")


def test_an_admins_change_takes_effect(page, paced):
    server, _ = paced
    page.click("#admin summary")
    page.fill("#admin-key", ADMIN)
    page.click("#admin-open button")
    page.fill("#admin-length", "2")
    page.uncheck("input[name=member][value=other]")
    page.click("#admin-change button")
    until(page, "document.getElementById('admin-good').textContent.includes('In effect')")
    rounds = []
    stop = server.llm.observe(rounds.append)
    server.openai(KEY).completions.create(model="toy", prompt=PROMPT, max_tokens=80, extra_body={"ignore_eos": True})
    stop()
    assert max(each.planned for each in rounds) == 2
    assert {name for each in rounds for names in each.votes for name in names} == {"one"}
    page.fill("#admin-length", "4")
    page.check("input[name=member][value=other]")
    page.click("#admin-change button")
    assert eventually(lambda: server.llm.served().engine.draft_cap == 4)


def test_an_alert_appears_and_clears(page, paced):
    server, target = paced
    target.free.clear()
    body = {"model": "toy", "prompt": PROMPT, "max_tokens": 20}
    request = threading.Thread(target=lambda: server.openai(KEY).completions.create(**body))
    request.start()
    try:
        page.wait_for_selector("#alerts .alert:has-text('watchdog')")
        assert "has made no step" in text(page, "alerts")
        page.wait_for_selector("#state[data-state=broken]")
        assert raised(server) == 1
    finally:
        target.free.set()
        request.join()
    until(page, "document.querySelectorAll('#alerts .alert').length === 0")
    assert raised(server) == 0


def raised(server) -> float:
    with server.http(headers={"authorization": f"Bearer {KEY}"}) as http:
        (line,) = (line for line in http.get("/metrics").text.splitlines() if line.startswith("covey:alert{") and "watchdog" in line)
    return float(line.split()[-1])


def test_one_of_several_models_can_be_looked_at(browser):
    with running({"large": "toy", "small": "toy"}, keys=Keys({"first": KEY}, ADMIN)) as server, opened(browser, server) as page:
        server.openai(KEY).completions.create(model="small", prompt=PROMPT, max_tokens=80, extra_body={"ignore_eos": True})
        page.select_option("#model", "small")
        until(page, "document.querySelectorAll('#lengths div:not(.empty)').length > 1")
        until(page, "document.getElementById('labels').textContent.includes('small')")
        page.fill("#prompt", PROMPT)
        page.click("#send")
        page.wait_for_selector("#send:visible")
        assert server.service.callers.of(Caller("first"))["labels"][0]["model"] == "small"
        page.select_option("#model", "large")
        until(page, "document.querySelectorAll('#lengths .empty').length === 1")


def test_a_wrong_key_is_asked_for_again(browser, paced):
    page = browser.new_page()
    page.goto(f"{paced[0].url}/")
    page.fill("#key", "a-key-that-nobody-has")
    page.click("#ask-key button")
    until(page, "document.getElementById('key-wrong').textContent.includes('no known API key')")
    assert page.is_visible("#key")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_either_scheme(browser, paced, scheme):
    with opened(browser, paced[0], viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(","))
    assert (brightness > 600) == (scheme == "light")


def test_its_files_are_public_and_bound_by_a_policy(paced):
    server, _ = paced
    with server.http() as http:
        for name in dashboard._FILES:
            answer = http.get("/" if name == "index.html" else f"/page/{name}")
            assert answer.status_code == 200
            assert (
                "default-src 'none'" in answer.headers["content-security-policy"]
                and "unsafe" not in answer.headers["content-security-policy"]
            )
        assert http.get("/page/nothing.js").status_code == http.get("/page/%2e%2e/app.py").status_code == 404
        assert http.get("/", headers={"host": "evil.example"}).status_code == 403


def test_every_file_of_the_page_is_served():
    folder = files("covey.server") / "page"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(dashboard._FILES)
