"""Figures: functions that take data and return a matplotlib `Figure`, and `svg`, which writes one.

`datasets` draws images, `runs` a record, `tasks` tasks that are learned in turn; `style` and `fonts` have what they share,
`svg_document` writes.
"""

from lr_lab.plots.datasets import first_images, glyph_rows, pca_images, pca_points, pictures, samples
from lr_lab.plots.runs import arm_name, forgetting_curves, latents
from lr_lab.plots.style import CLASS_COLOURS, EVALUATION_NAMES, MARKERS, TASK_COLOURS
from lr_lab.plots.svg_document import svg
from lr_lab.plots.tasks import accuracy_matrix, confusion_matrix, forgotten, image_latents, latent_planes, task_curves

__all__ = [
    "CLASS_COLOURS", "EVALUATION_NAMES", "MARKERS", "TASK_COLOURS", "accuracy_matrix", "arm_name",
    "confusion_matrix", "first_images", "forgetting_curves", "forgotten", "glyph_rows", "image_latents", "latent_planes",
    "latents", "pca_images", "pca_points", "pictures", "samples", "svg", "task_curves",
]  # fmt: skip
