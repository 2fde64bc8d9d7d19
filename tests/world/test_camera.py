import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from goldens.world_cases import build_trajectory, label_third_person
from support.paths import GOLDENS
from worldplay.world.camera import (
    DEFAULT_INTRINSICS,
    FORWARD_STEP,
    MAX_POSES,
    TURN_STEP,
    Motion,
    apply_motion,
    check_rigid,
    invert_pose,
    label_actions,
    normalize_intrinsics,
    parse_pose_json,
    parse_pose_string,
)

CASE = json.loads((GOLDENS / "manifest.json").read_text())["cases"]["camera"]["meta"]
GOLDEN = load_file(GOLDENS / "camera.safetensors")
PIXELS = np.array([[969.6969696969696, 0, 960], [0, 969.6969696969696, 540], [0, 0, 1]])


def check_golden(name: str, motions: list[Motion], third_person: bool = False) -> None:
    c2w = build_trajectory(motions)
    np.testing.assert_allclose(invert_pose(c2w), GOLDEN[f"out.{name}.w2c"], rtol=0, atol=1e-9)
    labels = label_third_person(c2w) if third_person else label_actions(c2w, None)
    np.testing.assert_array_equal(labels, GOLDEN[f"out.{name}.action"])


@pytest.mark.parametrize("index", range(len(CASE["motions"])))
def test_motions_match_golden(index: int) -> None:
    case = CASE["motions"][index]
    motions = [Motion(**parts) for repeat, parts in case["spec"] for _ in range(repeat)]
    check_golden(f"motion.{index}", motions, case.get("tps", False))
    intrinsics = normalize_intrinsics(np.array(case.get("K", PIXELS)))
    np.testing.assert_allclose(
        GOLDEN[f"out.motion.{index}.K"], intrinsics[None].repeat(len(motions) + 1, 0), atol=1e-12
    )


@pytest.mark.parametrize("index", range(len(CASE["pose_strings"])))
def test_pose_strings_match_golden(index: int) -> None:
    check_golden(f"pose.{index}", parse_pose_string(CASE["pose_strings"][index]))


def test_default_intrinsics_are_the_published_ones() -> None:
    np.testing.assert_allclose(DEFAULT_INTRINSICS, normalize_intrinsics(PIXELS), rtol=0, atol=1e-15)
    assert DEFAULT_INTRINSICS[1, 1] == pytest.approx(0.897867564534231)


def test_normalize_intrinsics_twice_is_once() -> None:
    np.testing.assert_array_equal(normalize_intrinsics(DEFAULT_INTRINSICS), DEFAULT_INTRINSICS)


@pytest.mark.parametrize(
    ("motion", "position"),
    [
        (Motion(forward=1), (0, 0, 1)),
        (Motion(right=1), (1, 0, 0)),
        (Motion(yaw=math.pi / 2, forward=1), (1, 0, 0)),  # positive yaw turns right
        (Motion(pitch=math.pi / 2, forward=1), (0, -1, 0)),  # positive pitch turns up; y is down
    ],
)
def test_apply_motion_moves_along_its_own_axes(motion: Motion, position: tuple[int, int, int]) -> None:
    np.testing.assert_allclose(apply_motion(np.eye(4), motion)[:3, 3], position, atol=1e-15)


def test_third_yaw_orbits_the_point_one_unit_ahead() -> None:
    moved = apply_motion(np.eye(4), Motion(third_yaw=math.pi / 2))
    np.testing.assert_allclose(moved[:3, 3], (1, 0, 1), atol=1e-15)
    np.testing.assert_allclose(moved @ [0, 0, 1, 1], (0, 0, 1, 1), atol=1e-15)


def test_invert_pose_is_the_inverse() -> None:
    c2w = build_trajectory([Motion(forward=0.3, right=-0.1, yaw=0.4, pitch=0.2)] * 9)
    np.testing.assert_allclose(invert_pose(c2w) @ c2w, np.eye(4)[None].repeat(10, 0), atol=1e-12)


def test_an_hour_of_walking_stays_rigid() -> None:
    pose, motion = np.eye(4), Motion(forward=FORWARD_STEP, yaw=TURN_STEP, pitch=TURN_STEP)
    for _ in range(21_600):
        pose = apply_motion(pose, motion)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize(
    ("motion", "label"),
    [
        (Motion(), 0),
        (Motion(forward=0.08), 9),
        (Motion(forward=-0.08), 18),
        (Motion(right=0.08), 27),
        (Motion(right=-0.08), 36),
        (Motion(forward=0.08, right=0.08), 45),
        (Motion(forward=0.08, right=-0.08), 54),
        (Motion(forward=-0.08, right=0.08), 63),
        (Motion(forward=-0.08, right=-0.08), 72),
        (Motion(yaw=TURN_STEP), 1),
        (Motion(yaw=-TURN_STEP), 2),
        (Motion(pitch=TURN_STEP), 3),
        (Motion(pitch=-TURN_STEP), 4),
        (Motion(yaw=TURN_STEP, pitch=TURN_STEP), 5),
        (Motion(yaw=TURN_STEP, pitch=-TURN_STEP), 6),
        (Motion(yaw=-TURN_STEP, pitch=TURN_STEP), 7),
        (Motion(yaw=-TURN_STEP, pitch=-TURN_STEP), 8),
        (Motion(forward=0.08, yaw=TURN_STEP), 10),
        (Motion(yaw=math.pi / 2), 1),  # gimbal lock: no pitch is invented
    ],
)
def test_label_names_the_motion(motion: Motion, label: int) -> None:
    assert label_actions(build_trajectory([motion]), None).tolist() == [0, label]


def test_label_with_previous_is_the_label_inside_the_walk() -> None:
    c2w = build_trajectory([Motion(forward=0.08)] * 3 + [Motion(yaw=TURN_STEP)] * 4)
    whole = label_actions(c2w, None)
    np.testing.assert_array_equal(label_actions(c2w[4:], c2w[3]), whole[4:])


def test_pose_string_with_too_many_latents_is_refused_unexpanded() -> None:
    with pytest.raises(ValueError, match=f"'s-1e12': expected 0 to {MAX_POSES - 4} latents, got '1e12'"):
        parse_pose_string("w-3, s-1e12")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w-3, jump-2", "item 'jump-2': expected an action of w, s, .* got 'jump'"),
        ("w", "item 'w': expected a number of latents after '-', got ''"),
        ("w-x", "item 'w-x': expected a number of latents after '-', got 'x'"),
        ("w--1", "item 'w--1': expected 0 to .* got '-1'"),
        ("w-nan", "item 'w-nan': expected 0 to .* got 'nan'"),
        ("W-1", "got 'W'"),
        (
            "./assets/pose/a.json",
            "'./assets/pose/a.json': expected motions .* or the content of a pose file, .* name",
        ),
        ("C:\\poses\\a.json", "expected motions .* or the content of a pose file, got a file's name"),
        ("a.JSON", "expected motions .* or the content of a pose file, got a file's name"),
    ],
)
def test_bad_pose_string_names_the_item(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_pose_string(text)


def test_empty_pose_string_has_no_motion() -> None:
    assert parse_pose_string(" , ") == []


def test_pose_json_keeps_file_order_and_normalises() -> None:
    c2w = build_trajectory([Motion(forward=0.08)])
    document = {
        "1": {"extrinsic": c2w[1].tolist(), "K": PIXELS.tolist()},
        "0": {"extrinsic": c2w[0].tolist(), "K": PIXELS.tolist()},
    }
    poses, intrinsics = parse_pose_json(document)
    np.testing.assert_array_equal(poses, c2w[::-1])
    np.testing.assert_allclose(intrinsics[1], DEFAULT_INTRINSICS)


def test_intrinsics_of_another_scale_are_refused() -> None:
    with pytest.raises(ValueError, match="expected focal lengths within 20 times the image's sides"):
        normalize_intrinsics(np.array([[1e300, 0, 1], [0, 1, 1], [0, 0, 1]]))


@pytest.mark.parametrize("centre", [1e-308, 5e-324])
def test_intrinsics_whose_ratio_no_float_holds_are_refused(centre: float) -> None:
    with pytest.raises(ValueError, match="expected focal lengths within 20 times"):
        normalize_intrinsics(np.array([[1e6, 0, centre], [0, 1, 1], [0, 0, 1]]))


EYE = np.eye(4).tolist()
HUGE = 10**400  # an integer that no float holds


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected an object of 1 to .* got an array of length 0"),
        ({}, "expected an object of 1 to .* got an object of length 0"),
        ({"0": 3}, "pose '0': expected 'extrinsic' as 4 x 4 numbers, got null"),
        (
            {"0": {"extrinsic": [[1, 2], [3]], "K": 1}},
            "pose '0': expected 'extrinsic' as 4 x 4 numbers, got an array of length 2",
        ),
        (
            {"0": {"extrinsic": EYE, "K": "fx"}},
            "pose '0': expected 'K' as 3 x 3 numbers, got 'fx'",
        ),
        (
            {"0": {"extrinsic": EYE, "K": np.zeros((3, 3)).tolist()}},
            "expected intrinsics with positive fx, fy, cx, cy",
        ),
        (
            {"0": {"extrinsic": [[HUGE] * 4] * 4, "K": PIXELS.tolist()}},
            "pose '0': expected 'extrinsic' as 4 x 4 numbers, got an array of length 4",
        ),
        (
            {"0": {"extrinsic": EYE, "K": [[HUGE] * 3] * 3}},
            "pose '0': expected 'K' as 3 x 3 numbers, got an array of length 3",
        ),
    ],
)
def test_bad_pose_json_says_what_was_expected(
    document: dict[str, object] | list[object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse_pose_json(document)


def changed(row: int, column: int, value: float) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[row, column] = value
    return pose


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (np.eye(3), r"shape \[..., 4, 4\], got \[3, 3\]"),
        (changed(0, 3, math.nan), "finite"),
        (changed(3, 0, 0.1), "bottom row"),
        (changed(2, 3, 1e6), "within 10000 units of the origin, got .*1000000.0"),
        (changed(0, 0, 1e300), "expected rotations, got .*1e[+]300"),
        (changed(0, 0, 1.1), "orthonormal rows, got .*1.1"),
        (changed(0, 0, -1), "not reflections"),
    ],
)
def test_check_rigid_says_what_is_wrong(pose: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rigid(pose)


def test_check_rigid_accepts_float32_rounding() -> None:
    check_rigid(
        build_trajectory([Motion(forward=9, yaw=1, pitch=0.5)] * 5).astype(np.float32).astype(np.float64)
    )


@pytest.mark.parametrize("wrong", [math.nan, 1e6, 3.0])
def test_first_wrong_pose_of_an_hour_is_shown_alone(wrong: float) -> None:
    poses = np.tile(np.eye(4), (MAX_POSES, 1, 1))
    poses[7:, 0, 3 if wrong == 1e6 else 0] = wrong
    with pytest.raises(ValueError, match=r"at index 7$") as caught:
        check_rigid(poses)
    assert len(str(caught.value)) < 400


def test_first_wrong_intrinsics_of_an_hour_are_shown_alone() -> None:
    document = {str(i): {"extrinsic": EYE, "K": np.zeros((3, 3)).tolist()} for i in range(MAX_POSES)}
    with pytest.raises(ValueError, match=r"positive fx, fy, cx, cy, got .* at index 0$") as caught:
        parse_pose_json(document)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    ["w - 3,right -1", "w -3, right - 1", "w\t-\t3,right   -   1", "\u00a0w\u00a0-\u00a03,right-1\n"]
    + [f"w{dash}3, right {dash} 1" for dash in "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"]
    + [f"w-3{comma}right-1" for comma in "\uff0c\u3001\u060c"],
)
def test_spaces_and_typographic_dashes_and_commas_mean_nothing(text: str) -> None:
    assert parse_pose_string(text) == parse_pose_string("w-3,right-1")


@pytest.mark.parametrize("text", ["w", "w 3", "w--3", "w - -3", "w-3-1", "-3", " - "])
def test_items_are_an_action_and_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"pose string item .*: expected"):
        parse_pose_string(text)


@pytest.mark.parametrize(
    "document", ["jump-" + "9" * 10**6, "w-" + "x" * 10**6, "w-" + "9" * 10**6, {"k" * 10**6: 3}]
)
def test_long_names_are_cut_short(document: dict[str, int] | str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_pose_string(document) if isinstance(document, str) else parse_pose_json(document)
    assert len(str(caught.value)) < 400
