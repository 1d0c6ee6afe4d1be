"""Networks of the SAM family that draw a mask from a prompt, through transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recon.core.geometry import Array
from recon.core.hub import pretrained

_KINDS = ("sam", "sam2", "sam_hq")
_EXAMPLES = "facebook/sam-vit-base or facebook/sam2.1-hiera-tiny"
_EXPECTED = (
    "--mask-model: expected a folder with config.json, preprocessor_config.json and weights, or a "
    f"name that can be fetched such as {_EXAMPLES}"
)


class MaskNetwork(Protocol):
    """Masks of what a prompt points at."""

    name: str

    def masks(self, image: np.ndarray, box: Array, points: Array) -> np.ndarray: ...


class TransformersSam:
    """SAM, SAM 2 or HQ-SAM, from a folder or by its name on the model hub.

    Raises:
        MissingDependencyError: transformers is not installed.
        InputError: the weights are not there and cannot be fetched, or are of something else.
    """

    def __init__(self, model: str, *, device: str = "cpu") -> None:
        with pretrained(model, expected=_EXPECTED) as source:
            from transformers import AutoConfig, AutoModelForMaskGeneration, AutoProcessor
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()
            kind = AutoConfig.from_pretrained(source).model_type
            # SAM 2's own checkpoints say that they are of its tracker, which can do the same.
            if kind not in _KINDS and kind != "sam2_video":
                raise ValueError(f"a network of type {kind}, none of {', '.join(_KINDS)}")
            processor = AutoProcessor.from_pretrained(source)
            network = AutoModelForMaskGeneration.from_pretrained(source)
        self.name = Path(model).name if Path(source).is_dir() else model
        self.device = device
        self._processor: Any = processor
        self._network: Any = network.to(device).eval()

    def masks(self, image: np.ndarray, box: Array, points: Array) -> np.ndarray:
        """Candidate masks (M, H, W) bool.

        Args:
            image: (H, W, 3) uint8 RGB. box: (4,) xyxy px. points: (P, 2) px inside the thing.
        """
        import torch

        inputs = self._processor(
            images=image,
            input_boxes=[[box.tolist()]],
            input_points=[[points.tolist()]],
            input_labels=[[[1] * len(points)]],
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            out = self._network(**inputs, multimask_output=True)
        sizes = [inputs[key].cpu() for key in ("original_sizes", "reshaped_input_sizes")
                 if key in inputs]  # fmt: skip
        processor = getattr(self._processor, "image_processor", self._processor)
        found = processor.post_process_masks(out.pred_masks.cpu(), *sizes)[0]
        return np.asarray(found.reshape(-1, *image.shape[:2]).bool())


def load_mask_network(model: str, *, device: str = "cpu") -> MaskNetwork:
    """The network of this name or folder; raises as TransformersSam does."""
    return TransformersSam(model, device=device)
