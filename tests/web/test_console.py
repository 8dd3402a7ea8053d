"""The console in a real browser, over a running service."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.web import scene
from tests.web.browser import browser
from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, Served, served
from tests.web.test_overview import crowd
from yamori.control.facade import EventKind
from yamori.model.errors import Tampered
from yamori.model.limits import LimitKind
from yamori.model.run import RunState
from yamori.model.support import FEATURES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path("/usr/bin/chromedriver").exists(), reason="Chromium's driver is not installed"),
]
PATIENCE_S = 60


@pytest.fixture(scope="module")
def chrome() -> Iterator[WebDriver]:
    with browser() as driver:
        yield driver


@pytest.fixture
def service() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def console(chrome: WebDriver, service: Served) -> Iterator[WebDriver]:
    """Logged in by the link, at the fleet. At the end nothing may have been complained about."""
    chrome.get_log("browser")
    chrome.get(f"{service.url}/login#{TOKEN}")
    until(chrome, lambda: chrome.find_elements(By.CSS_SELECTOR, ".sums"))
    yield chrome
    complaints = [line["message"] for line in chrome.get_log("browser")]
    chrome.get("about:blank")
    assert complaints == []


def until(driver: WebDriver, found: Callable[[], Any]) -> Any:
    return WebDriverWait(driver, PATIENCE_S, ignored_exceptions=()).until(lambda _: found())


def text_of(driver: WebDriver) -> str:
    return driver.execute_script("return document.querySelector('main').innerText")


def shows(driver: WebDriver, *words: str) -> None:
    until(driver, lambda: all(word in text_of(driver) for word in words))


def go(driver: WebDriver, service: Served, path: str, *words: str) -> None:
    driver.get(service.url + path)
    shows(driver, *words)


def button(driver: WebDriver, words: str, within: str = "main") -> WebElement:
    return until(
        driver,
        lambda: next(
            (b for b in driver.find_elements(By.CSS_SELECTOR, f"{within} button") if b.text == words), None
        ),
    )


def test_without_a_token_nobody_gets_in(chrome: WebDriver, service: Served) -> None:
    chrome.get(service.url + "/vms/x")
    assert chrome.current_url == service.url + "/login"
    field = chrome.find_element(By.ID, "token")
    field.send_keys("wrong", Keys.ENTER)
    until(chrome, lambda: "not the token" in chrome.find_element(By.ID, "said").text)
    assert chrome.get_cookies() == []
    assert chrome.execute_script("return localStorage.getItem('yamori.key')") is None
    chrome.get_log("browser")  # the refused log-in is told there


def test_the_link_logs_in_and_leaves_no_token_behind(console: WebDriver, service: Served) -> None:
    assert console.current_url == service.url + "/"
    assert TOKEN not in console.execute_script(
        "return JSON.stringify([history.state, {...localStorage}, document.cookie])"
    )
    (cookie,) = console.get_cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    console.back()
    assert TOKEN not in console.current_url


def test_a_pasted_token_logs_in_and_logging_out_ends_it(chrome: WebDriver, service: Served) -> None:
    chrome.get(service.url + "/login")
    chrome.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)
    until(chrome, lambda: chrome.find_elements(By.CSS_SELECTOR, ".sums"))
    chrome.find_element(By.ID, "logout").click()
    until(chrome, lambda: chrome.current_url.endswith("/login"))
    chrome.get(service.url + "/runs")
    assert chrome.current_url.endswith("/login")
    chrome.get_log("browser")


def test_the_fleet_is_shown_by_host_with_shape_and_word_for_every_standing(console: WebDriver) -> None:
    shows(console, "rack-a", "rack-b", "rack-c", "does not answer", "web-2", "held")
    tiles = console.find_elements(By.CSS_SELECTOR, ".tile")
    assert len(tiles) == len(scene.ROWS)
    words = {
        tile.find_element(By.TAG_NAME, "b").text: tile.find_element(By.CSS_SELECTOR, ".mark").get_attribute(
            "aria-label"
        )
        for tile in tiles
    }
    assert words["web-2"] == "not as promised"
    assert words["git"] == "unknown"
    assert words["web-1"] == "as promised"
    kept, unknown = (colour(console, f".tile.{word} .mark") for word in ("kept", "unknown"))
    assert kept != unknown


def colour(driver: WebDriver, selector: str) -> str:
    return driver.execute_script("return getComputedStyle(document.querySelector(arguments[0])).color", selector)


def test_the_fleet_follows_what_happens_without_being_reloaded(console: WebDriver, service: Served) -> None:
    console.execute_script("window.stays = true")
    view = scene.views()[0]
    service.facade.put(dataclasses.replace(view, vm=dataclasses.replace(view.vm, name="renamed-live")))
    service.call(service.facade.tell(EventKind.TICK, ""))
    shows(console, "renamed-live")
    assert console.execute_script("return window.stays") is True


def test_typing_in_the_search_narrows_the_fleet_and_keeps_the_focus(console: WebDriver, service: Served) -> None:
    console.find_element(By.TAG_NAME, "body").send_keys("/")
    console.switch_to.active_element.send_keys("tenant=shop")
    until(console, lambda: len(console.find_elements(By.CSS_SELECTOR, ".tile")) == 3)
    service.call(service.facade.tell(EventKind.TICK, ""))
    console.switch_to.active_element.send_keys("x")
    shows(console, "No VM matches")
    assert console.switch_to.active_element.get_attribute("value") == "tenant=shopx"


def test_a_page_of_a_vm_draws_what_it_is_owed_and_what_it_uses(console: WebDriver, service: Served) -> None:
    go(console, service, f"/vms/{scene.vm_id(1)}", "web-2", "not as promised", "promised at most 5 %")
    lines = console.find_elements(By.CSS_SELECTOR, ".chart path.line")
    assert len(lines) >= 10
    assert all(len(line.get_attribute("d")) > 500 for line in lines)
    assert len(console.find_elements(By.CSS_SELECTOR, ".chart line.bound")) == 4
    said = console.find_element(By.CSS_SELECTOR, ".plot svg").get_attribute("aria-label")
    assert "promised at most 5 %" in said
    shows(console, "Read back from the hypervisor", "no limit", "the host's kernel has no traffic control")


def test_what_is_not_measured_is_said_to_be_unknown_and_never_drawn_as_zero(
    console: WebDriver, service: Served
) -> None:
    go(console, service, f"/vms/{scene.vm_id(9)}", "git", "unknown: nothing was measured", "Limits are unknown")
    assert not console.find_elements(By.CSS_SELECTOR, ".mark.kept")
    console.get_log("browser")  # the browser tells every refused request


def test_a_hold_counts_down_and_is_released_after_asking(console: WebDriver, service: Served) -> None:
    go(console, service, f"/vms/{scene.vm_id(3)}", "Held", "ends by itself in")
    first = console.find_element(By.CSS_SELECTOR, ".banner [data-until]").text
    until(console, lambda: console.find_element(By.CSS_SELECTOR, ".banner [data-until]").text != first)
    button(console, "Release").click()
    assert service.facade.acted == []
    button(console, "Try", "dialog").click()
    until(console, lambda: "Would be done" in console.find_element(By.CSS_SELECTOR, "dialog .said").text)
    button(console, "Release", "dialog").click()
    until(console, lambda: not console.find_elements(By.CSS_SELECTOR, ".banner"))
    assert [(a[1], a[3]) for a in service.facade.acted] == [
        ("console", True),
        ("console", False),
    ]


def test_a_throttle_is_asked_for_in_the_units_of_people(console: WebDriver, service: Served) -> None:
    go(console, service, f"/vms/{scene.vm_id(4)}", "mail")
    button(console, "Throttle").click()
    dialog = console.find_element(By.TAG_NAME, "dialog")
    Select(dialog.find_element(By.TAG_NAME, "select")).select_by_visible_text("Disk bandwidth")
    value, minutes, reason = dialog.find_elements(By.TAG_NAME, "input")
    value.send_keys("20")
    minutes.clear()
    minutes.send_keys("2")
    reason.send_keys("thrashes the array")
    button(console, "Throttle", "dialog").click()
    shows(console, "Held", "20 MB/s")
    action, by, why, dry = service.facade.acted[0]
    assert action.limits == {LimitKind.DISK_BANDWIDTH: 20e6}
    assert action.expires_after_s == 120
    assert (by, why, dry) == ("console", "thrashes the array", False)


def test_whoever_moves_a_vm_sees_first_whether_it_stands_still(console: WebDriver, service: Served) -> None:
    service.facade.still.add(scene.vm_id(4))
    go(console, service, f"/vms/{scene.vm_id(4)}", "mail")
    button(console, "Move").click()

    def said(*words: str) -> bool:
        told = console.find_element(By.CSS_SELECTOR, "dialog .said").text
        return all(word in told for word in words)

    button(console, "Try", "dialog").click()
    until(console, lambda: said("stands still while 2 GiB are sent"))
    console.get_log("browser")  # the browser tells every refused request
    console.find_element(By.CSS_SELECTOR, "dialog input[type=checkbox]").click()
    button(console, "Try", "dialog").click()
    until(console, lambda: said("Would be done", "does not move live", "21.5 s"))
    button(console, "Move", "dialog").click()
    until(console, lambda: not console.find_elements(By.TAG_NAME, "dialog"))
    assert [(action.stopping, dry) for action, _, _, dry in service.facade.acted] == [
        (False, True),
        (True, True),
        (True, False),
    ]


def test_a_finding_shows_cause_victims_evidence_and_what_was_not_looked_at(
    console: WebDriver, service: Served
) -> None:
    console.find_element(By.LINK_TEXT, "Findings\n1").click()
    shows(console, "batch-7 takes CPU time", "looks like attack")
    console.find_element(By.CSS_SELECTOR, ".finding").click()
    shows(console, "Attribution", "batch-7", "web-2", "8.7 %", "1.2 %", "5 of 6", "The rest is unknown, not fine")
    shows(console, "counters were reset", "T1496", "throttle-bronze", "Observe only")
    assert console.current_url == service.url + "/findings/finding-0004"


def test_a_run_shows_before_and_after_and_is_undone_after_asking(console: WebDriver, service: Served) -> None:
    go(console, service, "/runs", "Verified", "CPU cap: no limit → 0.35 cores", "the endpoint does not answer")
    console.find_element(By.LINK_TEXT, "Throttle").click()
    shows(console, "Before and after", "no limit", "0.35 cores", "correlation with the delay 0.93", "Journal")
    button(console, "Undo").click()
    dialog = console.find_element(By.TAG_NAME, "dialog")
    dialog.send_keys(Keys.ESCAPE)
    until(console, lambda: not console.find_elements(By.TAG_NAME, "dialog"))
    assert service.facade.acted == []
    button(console, "Undo").click()
    button(console, "Undo", "dialog").click()
    shows(console, "Undone")
    assert service.facade.acted == [("undo", "run-0007", "console")]
    assert not [b for b in console.find_elements(By.CSS_SELECTOR, "main button") if b.text == "Undo"]


def test_the_kill_switch_is_thrown_after_asking_and_shown_on_every_page(
    console: WebDriver, service: Served
) -> None:
    go(console, service, "/policy", "Keep modules from acting")
    button(console, "Keep modules from acting").click()
    console.find_element(By.CSS_SELECTOR, "dialog input").send_keys("rack 4")
    button(console, "Keep them from acting", "dialog").click()
    until(console, lambda: "modules only observe" in console.find_element(By.ID, "stopped").text)
    assert service.facade.acted == [("kill_switch", True, "console", "rack 4")]
    go(console, service, "/", "batch-7")
    until(console, lambda: "rack 4" in console.find_element(By.ID, "stopped").text)
    go(console, service, "/policy", "Let modules act again")
    button(console, "Let modules act again").click()
    console.find_element(By.CSS_SELECTOR, "dialog input").send_keys("done")
    button(console, "Let them act", "dialog").click()
    until(console, lambda: not console.find_element(By.ID, "stopped").is_displayed())


def test_a_refusal_is_shown_where_it_was_asked(console: WebDriver, service: Served) -> None:
    go(console, service, "/runs/run-0007", "Undo")
    run = service.facade._runs[scene.runs()[0].id]
    service.facade._runs[run.id] = dataclasses.replace(run, state=RunState.UNDONE)
    button(console, "Undo").click()
    button(console, "Undo", "dialog").click()
    until(console, lambda: "nothing to undo" in console.find_element(By.CSS_SELECTOR, "dialog .said").text)
    console.get_log("browser")  # the browser tells every refused request


@pytest.mark.parametrize(
    ("path", "word"), [("/", "<img src=x on"), ("/vms", scene.HOSTILE), (f"/vms/{scene.vm_id(10)}", scene.HOSTILE)]
)
def test_a_hostile_name_is_only_text(console: WebDriver, service: Served, path: str, word: str) -> None:
    go(console, service, path, word if path != "/" else "img src=x")
    assert word in text_of(console)
    assert console.title != "1"
    assert not console.find_elements(By.CSS_SELECTOR, "main img")


def test_the_support_matrix_tells_native_agent_none_and_unknown_apart(console: WebDriver, service: Served) -> None:
    go(console, service, "/support", "native", "by agent", "no", "unknown", "never reached", "Reasons")
    assert len(console.find_elements(By.CSS_SELECTOR, ".matrix tbody tr")) == len(FEATURES)


def test_hosts_that_lack_what_their_endpoint_has_are_told_with_the_reason(
    console: WebDriver, service: Served
) -> None:
    go(
        console,
        service,
        "/support",
        "native 1/2",
        "Hosts that differ",
        "rack-b/old",
        "QEMU 5.2.0",
        "limits.memory",
    )
    assert "this host says that it bounds no memory" in text_of(console)
    assert "rack-b/new" not in text_of(console)


def test_the_ledger_is_verified_and_tampering_is_said_loudly(console: WebDriver, service: Served) -> None:
    go(console, service, "/ledger", "Finding raised")
    button(console, "Verify the whole chain").click()
    shows(console, "The chain holds: 48 records")
    service.facade.raises["verify_ledger"] = Tampered("record 17 does not follow record 16")
    button(console, "Verify the whole chain").click()
    shows(console, "The chain does not hold", "record 17")
    console.get_log("browser")


def test_what_does_not_exist_is_explained(console: WebDriver, service: Served) -> None:
    go(console, service, "/findings/none", "There is nothing here", "there is no such finding")
    console.get_log("browser")


def test_dark_and_light_are_a_choice_that_stays(console: WebDriver, service: Served) -> None:
    theme = "return document.documentElement.dataset.theme"
    before = console.execute_script(theme)
    console.find_element(By.ID, "theme").click()
    after = console.execute_script(theme)
    assert {before, after} == {"dark", "light"}
    go(console, service, "/runs", "Runs")
    assert console.execute_script(theme) == after
    console.execute_script("localStorage.removeItem('yamori.theme')")


def test_everything_can_be_reached_by_keyboard(console: WebDriver) -> None:
    reached = set()
    for _ in range(40):
        console.switch_to.active_element.send_keys(Keys.TAB)
        focused = console.switch_to.active_element
        reached.add(focused.text.split("\n")[0] or focused.get_attribute("type"))
    assert {"Skip to the page", "Findings", "Log out", "search", "web-2", "rack-a"} <= reached


def test_when_the_service_is_gone_the_console_says_so(chrome: WebDriver) -> None:
    with served() as brief:
        chrome.get(f"{brief.url}/login#{TOKEN}")
        until(chrome, lambda: chrome.find_element(By.ID, "live").text == "Live")
    until(chrome, lambda: chrome.find_element(By.ID, "live").text == "No contact")
    chrome.get("about:blank")
    chrome.get_log("browser")


def test_a_large_fleet_is_shown_at_once_and_page_by_page(chrome: WebDriver) -> None:
    with served(FakeFacade(crowd(20_000, hosts=4))) as large:
        chrome.get(f"{large.url}/login#{TOKEN}")
        shows(chrome, "20,000", "All 5,000 VMs")
        assert len(chrome.find_elements(By.CSS_SELECTOR, ".tile")) == 4 * 48
        go(chrome, large, "/vms?host=host-1", "1 to 100 of 5,000")
        button(chrome, "On").click()
        shows(chrome, "101 to 200 of 5,000")
    chrome.get("about:blank")
    chrome.get_log("browser")


def test_nothing_is_fetched_from_anywhere_else(console: WebDriver, service: Served) -> None:
    names = json.loads(
        console.execute_script("return JSON.stringify(performance.getEntriesByType('resource').map(e => e.name))")
    )
    assert names
    assert all(name.startswith(service.url + "/") for name in names)


def test_the_page_is_drawn_soon_although_many_things_happen(console: WebDriver, service: Served) -> None:
    for _ in range(300):
        service.call(service.facade.tell(EventKind.TICK, ""))
    before = len(json.loads(console.execute_script(FETCHED)))
    time.sleep(2.5)
    after = len(json.loads(console.execute_script(FETCHED)))
    assert after - before <= 5, "a burst of events is one new drawing, not many"


FETCHED = "return JSON.stringify(performance.getEntriesByType('resource').filter(e => e.name.includes('/fleet')))"
