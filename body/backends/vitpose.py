"""ViTPose through transformers: 2D keypoints of the body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from body.coco import check_count
from body.landmarks import Landmarks, Roi
from body.topdown import TallCrop, heatmap_peaks
from recon.core.errors import InputError, MissingDependencyError

_EXPECTED = (
    "--keypoints-model: expected a folder with the config.json and weights of a ViTPose network "
    "(VitPoseForPoseEstimation), such as a copy of usyd-community/vitpose-base-simple"
)
_COCO_EXPERT = 0
"""Of ViTPose+'s experts, one for each training set, the one that knows COCO."""


class VitPose:
    """Xu et al. 2022, "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation",
    and ViTPose+. Torch's own settings decide the number of threads.

    Licence: code and published weights Apache-2.0; some training sets allow research only.

    Raises:
        MissingDependencyError: transformers is not installed. InputError: not such a folder.
    """

    def __init__(self, model: Path, *, threads: int = 0) -> None:
        self.check(model)
        import torch
        from transformers import AutoConfig, VitPoseForPoseEstimation
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        try:
            config: Any = AutoConfig.from_pretrained(model)
            if config.model_type != "vitpose":
                raise ValueError(f"a network of type {config.model_type}")
            kind: Any = VitPoseForPoseEstimation
            network, loading = kind.from_pretrained(model, output_loading_info=True)
            if loading["missing_keys"]:
                raise ValueError(f"weights without {sorted(loading['missing_keys'])[0]}")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{_EXPECTED}; got {model}: {str(error).splitlines()[0]}") from error
        check_count(config.num_labels, str(model))
        backbone = config.backbone_config
        height, width = backbone.image_size
        self._torch, self._network = torch, network.eval()
        self._crop = TallCrop(height=height, width=width)
        self._has_experts = backbone.num_experts > 1

    @staticmethod
    def check(model: Path) -> None:
        """Refuses at once what would be missed only after minutes of work.

        Raises:
            MissingDependencyError: transformers is not installed. InputError: no such folder.
        """
        try:
            import transformers  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError("transformers", "vitpose") from error
        if not (model / "config.json").is_file():
            raise InputError(f"{_EXPECTED}; got {model}, which holds no config.json")

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        """The person in the region of `image` (H, W, 3) uint8 RGB."""
        pixels = self._torch.from_numpy(np.ascontiguousarray(self._crop.pixels(image, roi)))
        experts = {"dataset_index": self._torch.tensor([_COCO_EXPERT])} if self._has_experts else {}
        with self._torch.inference_mode():
            heatmaps = self._network(pixels, **experts).heatmaps[0].float().numpy()
        points, scores = heatmap_peaks(heatmaps, self._crop)
        return self._crop.landmarks(points, scores, roi)
