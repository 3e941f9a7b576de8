"""Mean opinion scores predicted by a network."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.base import Column, Mixture, Value
from contrasep_lib.score.metrics.perceptual import Perceptual, is_silent

if TYPE_CHECKING:
    import numpy as np

RATE = 16000
# beside the overall score: key of the library -> title
PARTS = {"sig": "DNSMOS SIG", "bak": "DNSMOS BAK"}


@choice("metric", "dnsmos", target="Dnsmos")
@dataclasses.dataclass(frozen=True)
class DnsmosOptions:
    """DNSMOS P.835 of speech at 16 kHz, by speechmos (pip install 'contrasep[dnsmos]'); lower rates are upsampled."""


class Dnsmos(Perceptual):
    """DNSMOS P.835 of Reddy, Gopal, Cutler, ICASSP 2022: 1 to 5, larger is better; knows no source.

    Overall quality (OVRL) and its improvement over the mixture; quality of the speech (SIG) and of what is behind it
    (BAK) as further columns. The network hears 16 kHz, so speech of 8 kHz is upsampled and lacks its upper half, which
    costs points: compare scores of one rate alone. Recordings under 9 s are repeated by the library. Silence has no
    score.
    """

    name, title = "dnsmos", "DNSMOS OVRL"

    @property
    def columns(self) -> Sequence[Column]:  # type: ignore[override]
        parts = (Column(f"dnsmos_{part}", title, partial=True) for part, title in PARTS.items())
        return (*super().columns, *parts)

    def judge(self, signal: np.ndarray, source: np.ndarray, rate: int) -> float | None:
        found = self._all(signal, rate)
        return None if found is None else found["ovrl_mos"]

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        import numpy as np

        found = [self._all(signal, mixture.rate) for signal in mixture.estimates]
        whole = [each for each in found if each is not None]
        made = dict.fromkeys((column.name for column in self.columns), None)  # type: dict[str, Value]
        if len(whole) == len(found):
            made["dnsmos"] = float(np.mean([each["ovrl_mos"] for each in whole]))
            made |= {f"dnsmos_{part}": float(np.mean([each[f"{part}_mos"] for each in whole])) for part in PARTS}
        # the mixture is the same beside each source
        before = None if mixture.single_speaker else self._all(mixture.mixture, mixture.rate)
        if before is not None:
            made["dnsmos_mix"] = before["ovrl_mos"]
            if isinstance(made["dnsmos"], float):
                made["dnsmos_improvement"] = made["dnsmos"] - before["ovrl_mos"]
        return made

    def _all(self, signal: np.ndarray, rate: int) -> dict[str, float] | None:
        import numpy as np

        from contrasep_lib.io.audio import resample_audio

        if is_silent(signal):
            return None
        # resampling overshoots, and the library refuses samples beyond full scale
        heard = np.clip(resample_audio(signal, rate, RATE), -1, 1)
        found = {name: float(value) for name, value in network()(heard, RATE, False).items()}
        return found if np.isfinite(list(found.values())).all() else None


@functools.cache
def network() -> Any:
    """The library's networks on one thread, as jobs run side by side."""
    from pathlib import Path

    import onnxruntime
    from speechmos import dnsmos

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    made = dnsmos.DNSMOS.__new__(dnsmos.DNSMOS)
    folder = Path(dnsmos.__file__).parent / "dnsmos_models"
    for name, file in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
        setattr(made, name, onnxruntime.InferenceSession(str(folder / file), options))
    return made
