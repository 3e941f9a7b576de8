#!/usr/bin/env bash
# Other self-supervised objectives in place of the contrastive one, each on the same backbone.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" objectives encoder_nt_xent,encoder_supcon,encoder_cpc,blstm_nt_xent,blstm_masked --phase pretrain --raw spectrum mfcc random resemblyzer -- "$@"
