#!/usr/bin/env bash
# What the modularity network needs: depth, width, starts, the number of clusters, the collapse term.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
rows=("k-means={solver: kmeans}" "network={solver: network}" "starts 1={solver: {name: network, starts: 1}}")
for hidden in "[]" "[32]" "[256]" "[64, 64]" "[64, 64, 64]"; do rows+=("hidden $hidden={solver: {name: network, hidden: $hidden}}"); done
for clusters in 3 5 10; do rows+=("clusters $clusters={solver: network, clusters: $clusters}"); done
for weight in 0.1 1.0; do rows+=("collapse $weight={solver: {name: network, collapse_weight: $weight}}"); done
"$here/compare.sh" network mixtures --partitions "${rows[@]}" -- "$@"
