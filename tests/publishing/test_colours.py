"""The levels' colours: told apart by colour-blind readers too, and legible text on each."""

import math
import re
from importlib import resources
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

Vector = npt.NDArray[np.float64]

#: Simulated dichromacy: Machado, Oliveira & Fernandes (2009), IEEE TVCG 15, 1291–1298, severity 1.0, on linear RGB.
_SEEN = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> Vector:
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: Vector) -> Vector:
    x, y, z = (_TO_XYZ @ np.clip(rgb, 0, 1)) / _WHITE
    fx, fy, fz = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def ciede2000(one: Vector, other: Vector) -> float:
    """Sharma, Wu & Dalal (2005), Color Research & Application 30, 21–30."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 if a or b else 0.0 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = l2 - l1, c2 - c1, 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    hm = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    t = 1 - 0.17 * math.cos(math.radians(hm - 30)) + 0.24 * math.cos(math.radians(2 * hm))
    t += 0.32 * math.cos(math.radians(3 * hm + 6)) - 0.20 * math.cos(math.radians(4 * hm - 63))
    sl = 1 + 0.015 * (lm - 50) ** 2 / math.sqrt(20 + (lm - 50) ** 2)
    sc, sh = 1 + 0.045 * cm, 1 + 0.015 * cm * t
    rc = 2 * math.sqrt(cm**7 / (cm**7 + 25**7))
    rt = -math.sin(math.radians(60 * math.exp(-(((hm - 275) / 25) ** 2)))) * rc
    return math.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * (dc / sc) * (dh / sh))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    bright, dark = sorted((float(_TO_XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


STYLE = resources.files("airqino.publishing").joinpath("templates", "style.css").read_text(encoding="utf-8")
#: Level → the colour of its text, or the name of one.
INKS = re.findall(r"\.l(\d) \{ --c: var\(--c\1\); --t: (\S+) \}", STYLE)


def schemes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found = [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks]
    return {"light": found[0], "dark": found[0] | found[1]}


SCHEMES = schemes()


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((90.8027, -2.0831, 1.441), (91.1528, -1.6435, 0.0447), 1.4441),
    ],
)
def test_the_difference_is_that_of_the_published_pairs(one: Vector, other: Vector, difference: float) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize("seen", _SEEN)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_levels_are_never_alike(scheme: str, seen: str) -> None:
    labs = {n: lab(np.array(_SEEN[seen]) @ linear(SCHEMES[scheme][f"c{n}"])) for n in range(7)}
    differences = {pair: ciede2000(labs[pair[0]], labs[pair[1]]) for pair in combinations(labs, 2)}
    assert min(differences.values()) >= 10, differences


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_is_legible(scheme: str) -> None:
    colours = SCHEMES[scheme]
    inks = {level: colours.get(ink.removeprefix("var(--").rstrip(")"), ink) for level, ink in INKS}
    assert len(inks) == 7
    for level, ink in inks.items():
        assert contrast(ink, colours[f"c{level}"]) >= 4.5, level
    for ink, ground in (
        ("ink", "bg"),
        ("soft", "bg"),
        ("soft", "panel"),
        ("link", "bg"),
        ("red", "redbg"),
        ("link", "panel"),
    ):
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["edge"], colours["bg"]) >= 3
