"""SI-SNR, SDR, and the matching of outputs to sources.

All in double precision. The functions on signals are batch first, ``(..., K, samples)``.

Two limits keep every table finite. Ratios are clamped to +-`LIMIT_DB` (a PCM16 copy of a signal
stays below it); a signal whose norm is under `SILENCE_NORM` is silent, holds nothing of any
source, and sits at the lower limit.
"""

from __future__ import annotations

import numpy as np

LIMIT_DB = 60.0
SILENCE_NORM = 1e-6
DIAGONAL_LOAD = 1e-10


def _coherence_to_db(coherence: np.ndarray) -> np.ndarray:
    """``10 log10(c / (1 - c))`` of squared cosines, clamped to +-`LIMIT_DB`."""
    least = 1.0 / (1.0 + 10.0 ** (LIMIT_DB / 10.0))
    coherence = np.clip(coherence, least, 1.0 - least)
    return 10.0 * np.log10(coherence / (1.0 - coherence))


def _unit_norm(signals: np.ndarray) -> np.ndarray:
    """Scale along the last axis to norm 1; silent signals become exact zeros."""
    norm = np.linalg.norm(signals, axis=-1, keepdims=True)
    return np.where(norm < SILENCE_NORM, 0.0, signals / np.maximum(norm, SILENCE_NORM))


def _centred(signals: np.ndarray) -> np.ndarray:
    signals = np.asarray(signals, dtype=np.float64)
    return _unit_norm(signals - signals.mean(axis=-1, keepdims=True))


def _require_same_length(estimates: np.ndarray, sources: np.ndarray) -> None:
    if estimates.ndim < 2 or sources.ndim < 2:
        raise ValueError(
            f"expected (..., signals, samples), got estimates {estimates.shape} and sources {sources.shape}"
        )
    if estimates.shape[-1] != sources.shape[-1]:
        raise ValueError(f"estimates have {estimates.shape[-1]} samples, sources {sources.shape[-1]}")
    if sources.shape[-1] == 0:
        raise ValueError("signals without samples")


def si_snr(estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-noise ratio of each estimate against the source of its index.

    Both are made zero-mean; with ``t = (<e, s> / |s|^2) s`` the ratio is
    ``10 log10(|t|^2 / |e - t|^2)`` (Le Roux et al., "SDR - half-baked or well done?", 2019,
    with the means removed).

    Args:
        estimates: ``(..., K, samples)``.
        sources: ``(..., K, samples)``.

    Returns:
        dB, ``(..., K)``, within +-`LIMIT_DB`.

    Raises:
        ValueError: lengths differ, no samples, or fewer than two dimensions.
    """
    estimates, sources = np.asarray(estimates), np.asarray(sources)
    _require_same_length(estimates, sources)
    # |t|^2 / |e - t|^2 is c / (1 - c) for the squared cosine c between the two
    cosine = np.einsum("...n,...n->...", _centred(estimates), _centred(sources))
    return _coherence_to_db(cosine**2)


def pairwise_si_snr(estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """`si_snr` of every estimate against every source.

    Args:
        estimates: ``(..., M, samples)``.
        sources: ``(..., K, samples)``.

    Returns:
        dB, ``(..., K, M)``.

    Raises:
        ValueError: as `si_snr`.
    """
    estimates, sources = np.asarray(estimates), np.asarray(sources)
    _require_same_length(estimates, sources)
    cosine = _centred(sources) @ np.swapaxes(_centred(estimates), -1, -2)
    return _coherence_to_db(cosine**2)


def sdr(estimates: np.ndarray, sources: np.ndarray, filter_length: int = 512) -> np.ndarray:
    """Signal-to-distortion ratio of BSS-Eval v3 for several estimates of each source.

    The target is the projection of the estimate on the source and its first ``filter_length - 1``
    delays (Vincent, Gribonval, Fevotte, 2006); means stay in. The normal equations are those of
    Scheibler, "SDR - medium rare with fast computations", 2022, with `DIAGONAL_LOAD` on the unit
    diagonal so that silent and periodic sources can be solved. They are computed here with scipy
    because fast_bss_eval 0.1.3 takes three times as long (see docs/experiments/benchmarks.md): its transforms
    are up to twice the length that ``filter_length`` lags need, and it solves the Toeplitz
    system as a dense one.

    Args:
        estimates: ``(..., K, E, samples)``: ``E`` estimates for each of ``K`` sources.
        sources: ``(..., K, samples)``.
        filter_length: taps of the distortion filter.

    Returns:
        dB, ``(..., K, E)``, within +-`LIMIT_DB`.

    Raises:
        ValueError: lengths differ, no samples, or leading dimensions that do not agree.
    """
    from scipy import fft

    estimates = np.asarray(estimates, dtype=np.float64)
    sources = np.asarray(sources, dtype=np.float64)
    _require_same_length(estimates, sources)
    if estimates.ndim != sources.ndim + 1 or estimates.shape[:-2] != sources.shape[:-1]:
        raise ValueError(
            f"expected (..., K, E, samples) and (..., K, samples), got {estimates.shape} and {sources.shape}"
        )
    size = fft.next_fast_len(sources.shape[-1] + filter_length - 1, real=True)
    source_spectra = fft.rfft(_unit_norm(sources), size)
    estimate_spectra = fft.rfft(_unit_norm(estimates), size)
    auto = fft.irfft(source_spectra.real**2 + source_spectra.imag**2, size)[..., :filter_length]
    auto[..., 0] += DIAGONAL_LOAD
    cross = fft.irfft(source_spectra[..., None, :].conj() * estimate_spectra, size)[..., :filter_length]
    coherence = np.zeros(estimates.shape[:-1])
    for index in np.ndindex(auto.shape[:-1]):
        # one solve for all estimates of a source
        coherence[index] = np.sum(cross[index] * _solve_toeplitz(auto[index], cross[index].T).T, axis=-1)
    return _coherence_to_db(coherence)


def _solve_toeplitz(column: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive Toeplitz system, ``(n,)`` and ``(n, m)`` to ``(n, m)``.

    Levinson's recursion is fast but loses digits when the system is near singular (a source of
    a few sine waves). A dense factorisation replaces it where its residual is too large.
    """
    from scipy import linalg

    try:
        solution = linalg.solve_toeplitz(column, right)
        residual = linalg.matmul_toeplitz(column, solution) - right
        if np.abs(residual).max() <= 1e-7 * max(np.abs(right).max(), SILENCE_NORM):
            return solution
    except linalg.LinAlgError:
        pass
    return np.linalg.lstsq(linalg.toeplitz(column), right, rcond=None)[0]


def best_matching(gain: np.ndarray) -> tuple[int | None, ...]:
    """The assignment of outputs to sources with the largest sum of gains (Hungarian method).

    Args:
        gain: ``(K, M)``, of source k by output m.

    Returns:
        for each source the index of its output, or None where outputs are too few; with more
        outputs than sources some appear nowhere.
    """
    from scipy.optimize import linear_sum_assignment

    matching: list[int | None] = [None] * gain.shape[0]
    for source, output in zip(*linear_sum_assignment(gain, maximize=True)):
        matching[source] = int(output)
    return tuple(matching)


def improvements(estimates: np.ndarray, mixture: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """SI-SNR improvement of each source's matched output over the mixture, ``(K,)`` dB.

    Args:
        estimates: ``(K, samples)``, in any order.
        mixture: ``(samples,)``.
        sources: ``(K, samples)``.
    """
    pairs = pairwise_si_snr(estimates, sources)
    before = si_snr(np.broadcast_to(mixture, sources.shape), sources)
    # as many outputs as sources: none is without a match
    matched = np.array(best_matching(pairs), dtype=np.int64)
    return pairs[np.arange(len(before)), matched] - before
