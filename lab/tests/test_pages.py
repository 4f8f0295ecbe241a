"""The pages of a report, in a browser and with Node.

Here and not in tests/: Chromium is a hundred megabytes from Debian and Allure comes from npm, while tests/ needs no
network and must end in two minutes. Neither needs a lab.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from lab.tests.browser import chromium, look
from tests.sample_runs import REGISTER, run
from velero_acceptance.report import allure

RED = "AC-003-01"
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A green run of yesterday and a red one of an hour ago."""
    found = tmp_path_factory.mktemp("reports")
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(found.with_name("config")))
        run(found, "good", started=now - timedelta(days=1))
        run(found, "bad", 31, started=now - timedelta(hours=1))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Chrome, reports: Path) -> Chrome:
    """The browser at the page of the red run."""
    look(browser, width=1440)
    browser.get_log("performance")  # forget what was asked for before
    browser.get((reports / "bad/traceability.html").as_uri())
    return browser


def one(page: Chrome, selector: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, selector)


def asked(page: Chrome) -> list[str]:
    """Every address that was asked for since the last look, those within the page left out."""
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [address for address in sent if not address.startswith(("data:", "blob:"))]


def shown(page: Chrome) -> list[str]:
    """The criteria that are shown."""
    rows = page.find_elements(By.CSS_SELECTOR, ".criterion")
    return [str(row.get_attribute("id")) for row in rows if row.is_displayed()]


def test_the_first_screen_answers_the_three_questions(page: Chrome) -> None:
    screen = page.execute_script(
        "const seen = (e) => e.getBoundingClientRect().bottom <= innerHeight;"
        "return [...document.querySelectorAll('h1, .attention li, .facts time')].filter(seen).map((e) => e.innerText)"
    )
    assert screen[0] == "Not green: 1 failed"
    assert any("hour" in text or "minutes old" in text for text in screen)
    assert any(RED in text and "initiation is 31 s" in text for text in screen)


def test_nothing_is_asked_of_anybody_and_nothing_is_complained_about(page: Chrome, reports: Path) -> None:
    assert asked(page) == [(reports / "bad/traceability.html").as_uri()]
    assert page.get_log("browser") == []


def test_filters_narrow_and_clear(page: Chrome) -> None:
    everything = shown(page)
    assert everything == list(REGISTER.criteria)
    one(page, '[data-verdict="FAILED"].chip').click()
    assert shown(page) == [RED]
    assert one(page, "#shown").text.startswith("1 of ")
    one(page, "#find").send_keys("nosuchword")
    assert shown(page) == [] and one(page, "#none").is_displayed()
    one(page, "#clear").click()
    assert shown(page) == everything
    one(page, '#requirement option[value="CLI"]').click()
    assert shown(page) and all(name.startswith("CLI-") for name in shown(page))


def test_text_is_found_in_steps_too(page: Chrome) -> None:
    one(page, "#find").send_keys("not counting the wait for each other")
    assert shown(page) == [RED]


def test_the_keyboard_is_enough(page: Chrome) -> None:
    body = one(page, "body")
    body.send_keys("/")
    assert page.switch_to.active_element.get_attribute("id") == "find"
    page.switch_to.active_element.send_keys(RED)
    assert shown(page) == [RED]
    for _ in range(40):
        page.switch_to.active_element.send_keys(Keys.TAB)
        if page.execute_script("return document.activeElement.parentElement.id") == RED:
            break
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert one(page, f"#{RED} .measured").is_displayed()
    one(page, "#find").send_keys(Keys.ESCAPE)
    assert len(shown(page)) > 1


def test_a_link_unfolds_what_it_points_to(page: Chrome) -> None:
    one(page, '[data-verdict="VERIFIED"].chip, [data-verdict="NOT-RUN"].chip').click()
    assert not one(page, f"#{RED}").is_displayed()
    one(page, f'.attention a[href="#{RED}"]').click()
    assert one(page, f"#{RED} .measured").is_displayed()


def background(page: Chrome) -> str:
    return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_until_it_is_chosen(page: Chrome) -> None:
    light = background(page)
    look(page, width=1440, theme="dark")
    dark = background(page)
    assert dark != light
    for expected in ("light", "dark", "auto"):
        one(page, "#theme").click()
        assert one(page, "#theme").text == f"Theme: {expected}"
        assert background(page) == (light if expected == "light" else dark)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(page: Chrome, theme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2, AA) of every text against what is behind it."""
    look(page, width=1440, theme=theme)
    one(page, "#unfold").click()
    assert page.execute_script(CONTRAST) == []


def test_a_text_that_cannot_be_read_is_noticed(page: Chrome) -> None:
    page.execute_script("document.querySelector('h1').style.color = 'rgb(240, 200, 200)'")
    (poor,) = page.execute_script(CONTRAST)
    assert poor.startswith("H1")


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window(page: Chrome, width: int) -> None:
    look(page, width=width)
    one(page, "#unfold").click()
    page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    needed, there = page.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
    )
    assert needed <= there <= width


def test_what_is_not_green_is_printed_whole(page: Chrome) -> None:
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert one(page, f"#{RED} .files").is_displayed()
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not one(page, f"#{RED}").get_attribute("open")
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000


def test_old_evidence_is_called_old(browser: Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = run(tmp_path, "old", started=datetime.now(UTC) - timedelta(days=31, hours=1))
    browser.get((folder / "traceability.html").as_uri())
    assert one(browser, "[data-old]").is_displayed()
    assert "31 days old" in one(browser, ".facts time").text


def test_allure_makes_one_file_and_keeps_its_history(
    browser: Chrome, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From results as allure-pytest writes them, in a folder named as a run names it."""
    monkeypatch.chdir(tmp_path)
    if shutil.which("node") is None:
        pytest.skip("Node is missing: there is no Allure report here")
    folder = tmp_path / "reports" / "r"
    shutil.copytree(reports / "bad", folder)
    results = folder / allure.RESULTS
    results.mkdir()
    errors = {"passed": "", "broken": "velero_acceptance.evidence.recorder.Blocked: no tcpdump"}
    for number, (status, message) in enumerate(errors.items()):
        content = {
            "uuid": str(number), "name": f"scenario {number}", "fullName": f"f#{number}", "historyId": str(number),
            "status": status, "statusDetails": {"message": message}, "start": 0, "stop": 1000,
            "labels": [{"name": "epic", "value": "REQ-003"}, {"name": "feature", "value": RED}],
        }  # fmt: skip
        (results / f"{number}-result.json").write_text(json.dumps(content))
    made = allure.generate(folder.relative_to(tmp_path))
    assert made == folder / "allure.html" and not (folder / ".allure").exists()
    history = (tmp_path / "reports" / allure.HISTORY).read_text().splitlines()
    allure.generate(folder)
    assert (tmp_path / "reports" / allure.HISTORY).read_text().splitlines() == history and len(history) == 1
    look(browser, width=1440)
    asked(browser)
    browser.get(made.as_uri())
    WebDriverWait(browser, 30).until(lambda page: {"REQ-003", RED} <= set(one(page, "body").text.splitlines()))
    tab = "//*[self::button or @role='tab'][starts-with(normalize-space(.), 'Categories')]"
    browser.find_element(By.XPATH, tab).click()
    WebDriverWait(browser, 30).until(lambda page: "BLOCKED: a precondition is missing" in one(page, "body").text)
    assert asked(browser) == [made.as_uri()]
