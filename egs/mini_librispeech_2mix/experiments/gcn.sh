#!/usr/bin/env bash
# Contrastive features against GCN features: what does the modularity network find in either?
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" gcn encoder_nt_xent,gcn_nt_xent,gcn_modularity --phase pretrain --raw spectrum mfcc random -- "$@"
