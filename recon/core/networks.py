"""The table of open networks: what each is, its licence, and the package that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recon.core.packages import Package


@dataclass(frozen=True, kw_only=True)
class Network:
    """A file inside a package.

    Args:
        name: what `recon weights` calls it. purpose: one line. size: bytes.
        licence: of the weights (SPDX). package: where it comes from.
        member: path inside the package, as `read_member` takes it.
        sha256: of the file itself.
    """

    name: str
    purpose: str
    size: int
    licence: str
    package: Package
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name in the cache; it holds the checksum so that another version never stands in."""
        return f"{self.name}.{self.sha256[:8]}{Path(self.member).suffix}"


MEDIAPIPE = Package(registry="PyPI", name="mediapipe", version="0.10.21", size=35_622_638)
POSE = Package(registry="npm", name="@mediapipe/pose", version="0.5.1675469404", size=40_985_403)
OBJECTRON = Package(
    registry="npm", name="@mediapipe/objectron", version="0.4.1675468480", size=32_667_233
)
SPORTS2D = Package(registry="PyPI", name="sports2d", version="0.8.34", size=9_050_415)
LPIPS = Package(registry="PyPI", name="lpips", version="0.1.4", size=53_763)


def _mediapipe(name: str, module: str, size: int, sha256: str, *, purpose: str) -> Network:
    member = f"mediapipe/modules/{module}/{name}.tflite"
    return Network(
        name=name, purpose=purpose, size=size, licence="Apache-2.0", package=MEDIAPIPE,
        member=member, sha256=sha256,
    )  # fmt: skip


_NETWORKS = (
    Network(
        name="person_detector",
        purpose="people's boxes (SSD MobileNetV2, Open Images)",
        size=9_987_728,
        licence="Apache-2.0",
        package=OBJECTRON,
        member="package/objectron_solution_packed_assets.data!"
        "/third_party/mediapipe/modules/objectron/object_detection_ssd_mobilenetv2_oidv4_fp16.tflite",
        sha256="d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
    ),
    Network(
        name="pose_landmark_heavy",
        purpose="body keypoints, 3D landmarks and mask (BlazePose heavy, the default)",
        size=27_709_200,
        licence="Apache-2.0",
        package=POSE,
        member="package/pose_landmark_heavy.tflite",
        sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    ),
    _mediapipe(
        "pose_landmark_full", "pose_landmark", 6_440_512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        purpose="body keypoints, 3D landmarks and mask (BlazePose full, faster)",
    ),
    _mediapipe(
        "pose_detection", "pose_detection", 2_959_046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        purpose="one near person's hips and extent (BlazePose detector)",
    ),
    _mediapipe(
        "palm_detection_full", "palm_detection", 2_339_846,
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        purpose="palms' boxes",
    ),
    _mediapipe(
        "hand_landmark_full", "hand_landmark", 5_478_917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        purpose="21 hand keypoints and handedness",
    ),
    _mediapipe(
        "face_landmark", "face_landmark", 1_242_398,
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        purpose="468 face keypoints",
    ),
    _mediapipe(
        "selfie_segmentation", "selfie_segmentation", 249_505,
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        purpose="mask of a near person",
    ),
    Network(
        name="lpips_alex",
        purpose="heads of the perceptual distance LPIPS; AlexNet itself is the user's to bring",
        size=6_009,
        licence="BSD-2-Clause",
        package=LPIPS,
        member="lpips/weights/v0.1/alex.pth",
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
)  # fmt: skip
NETWORKS: Mapping[str, Network] = {network.name: network for network in _NETWORKS}
"""Every network the project can use, by name."""

DEMO_VIDEO = Network(
    name="demo",
    purpose="the clip of `recon demo`",
    size=3_968_304,
    licence="BSD-3-Clause",
    package=SPORTS2D,
    member="Sports2D/Demo/demo.mp4",
    sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
)
