#!/usr/bin/env bash
# Which edges a graph of frames should keep: the paper's thresholds, relative ones, and the kernel without any.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
rows=("kernel={graph: kernel, quality: normalised, solver: spectral}")
for tau in 0.5 0.7 0.9; do rows+=("tau $tau={graph: {name: threshold, tau: $tau}, quality: normalised, solver: spectral}"); done
rows+=("centred, tau 0={graph: {name: threshold, tau: 0.0, centre: true}, quality: normalised, solver: spectral}")
for quantile in 0.9 0.98; do
    rows+=("quantile $quantile={graph: {name: threshold, quantile: $quantile}, quality: normalised, solver: spectral}")
done
"$here/compare.sh" threshold mixtures --partitions k-means="{solver: kmeans}" "${rows[@]}" -- "$@"
