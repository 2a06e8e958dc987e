"""Which microphones are shown, and which one settings mean."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from app.live.device_list import InputDevice, Listing, default_output, find_device, list_inputs, located, matching
from avatar.errors import UserError


@pytest.fixture
def windows(sound_system: Any) -> Any:
    """Each device under three host APIs, MME first and with names cut off, as PortAudio lists them."""
    sound_system.apis = [
        {"name": "MME", "default_input_device": 0, "default_output_device": 9},
        {"name": "Windows DirectSound", "default_input_device": 2},
        {"name": "Windows WASAPI", "default_input_device": 5, "default_output_device": 7},
    ]
    whole = ("Microphone Array (Realtek High Definition Audio)", "Headset (Bluetooth)")
    for api, names in enumerate(((whole[0][:31], whole[1]), whole, whole)):
        for name in names:
            sound_system.plug(f"{api}{name}", api=api, scan=False)
    sound_system._initialize()
    for device in sound_system.known:
        device["name"] = device["name"][1:]
    return sound_system


def test_windows_shows_each_device_once_by_its_whole_name(windows: Any) -> None:
    found = list_inputs()
    assert [d.name for d in found] == ["Headset (Bluetooth)", "Microphone Array (Realtek High Definition Audio)"]
    assert {d.host_api for d in found} == {"Windows WASAPI"}
    assert [d.default for d in found] == [True, False], "the default of that host API"
    assert [index for _, index in located(windows)] == [5, 4]
    assert default_output(windows) == 7


def test_elsewhere_every_host_api_is_shown(sound_system: Any) -> None:
    sound_system.apis = [{"name": "ALSA"}, {"name": "JACK Audio Connection Kit"}]
    sound_system.plug("USB")
    sound_system.plug("system", api=1)
    assert [d.key for d in list_inputs()] == ["ALSA: USB", "JACK Audio Connection Kit: system"]
    assert default_output(sound_system) is None


def test_two_of_one_name_are_told_apart(sound_system: Any) -> None:
    sound_system.plug("USB")
    sound_system.known = [dict(sound_system.known[0]), dict(sound_system.known[0])]
    assert [(d.key, index) for d, index in located(sound_system)] == [("Test: USB", 0), ("Test: USB (2)", 1)]


def test_settings_of_another_host_api_find_their_microphone() -> None:
    inputs = [InputDevice("Microphone Array (Realtek High Definition Audio)", "Windows WASAPI", 2, 48_000)]
    assert matching(inputs, "Windows WASAPI: Microphone Array (Realtek High Definition Audio)") is inputs[0]
    assert matching(inputs, "MME: Microphone Array (Realtek High ") is inputs[0]
    assert matching(inputs, "MME: Headset") is None


def test_a_device_is_found_by_part_of_its_name(windows: Any) -> None:
    assert find_device("realtek") == "Windows WASAPI: Microphone Array (Realtek High Definition Audio)"
    with pytest.raises(UserError, match="several match"):
        find_device("e")


def test_asking_in_another_process_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers, or is given up after its time; a sound system that never answers holds nothing up."""
    listing = Listing(time.monotonic())
    while (found := listing.poll(time.monotonic())) is None:
        threading.Event().wait(0.05)
    assert all(isinstance(device, InputDevice) for device in found)
    monkeypatch.setattr("app.live.device_list.python_command", lambda code: ["sleep", "60"])
    stuck = Listing(0.0)
    begun = time.perf_counter()
    assert stuck.poll(9.9) is None
    assert stuck.poll(10.1) == list_inputs()
    assert time.perf_counter() - begun < 30.0
