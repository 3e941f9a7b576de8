"""Count networks, parts of a model that learn with it; their options, which import no torch, in `options`."""
