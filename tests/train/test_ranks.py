"""Two processes: nodes gathered across ranks give what one process with all nodes would learn."""

import subprocess
import sys
from pathlib import Path

import torch

from contrasep_lib.objectives.nt_xent import nt_xent_loss
from contrasep_lib.objectives.supcon import supcon_loss

SCRIPT = """
import sys
import torch
from contrasep_lib.objectives.nt_xent import nt_xent_loss
from contrasep_lib.objectives.supcon import supcon_loss
rank, store = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}/ranks", rank=rank, world_size=2)
data = torch.load(f"{store}/data.pt")
part = slice(0, 6) if rank == 0 else slice(6, 10)  # ranks of different size
z, other = (data[name][:, part].clone().requires_grad_() for name in ("z", "other"))
labels = data["labels"][:, part]
losses = supcon_loss(z, labels, gather=True), nt_xent_loss(z, other, labels, gather=True)
grads = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in losses]
torch.save([[loss.detach() for loss in losses], grads], f"{store}/{rank}.pt")

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.train.espnet_model import EspnetModel
torch.manual_seed(0)
tree = {"backbone": {"layers": 1, "width": 4}, "objectives": ["supcon", "nt_xent"], "projection": 3}
options = build(ModelOptions, tree, "model")
model = torch.nn.parallel.DistributedDataParallel(EspnetModel(options, FeatureOptions(64, 16)))
trained = []
for most in (1, 2, 1 + rank):  # pretraining, mixtures, and one rank of each
    sources = torch.randn(2, most, 400)
    speaker = torch.arange(2 * most).view(2, most) + rank
    model.zero_grad()
    model(sources.sum(1), torch.tensor([400, 300 + rank]), sources, None, speaker)[0].backward()
    trained.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
torch.save(trained, f"{store}/model{rank}.pt")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def test_two_processes_equal_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize
    data = {
        name: unit(torch.randn(1, 10, 4, generator=generator).double(), dim=-1) for name in ("z", "other")
    }
    data["labels"] = torch.tensor([[0, 1, 0, 1, 2, 2, 0, 1, 2, 0]])
    torch.save(data, tmp_path / "data.pt")
    root = Path(__file__).resolve().parents[2]
    ranks = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(tmp_path)], cwd=root)
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    (losses_a, grads_a), (losses_b, grads_b) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))

    for one, other in zip(*(torch.load(tmp_path / f"model{rank}.pt") for rank in (0, 1))):
        assert torch.equal(one, other) and one.isfinite().all() and one.abs().sum() > 0

    z = data["z"].clone().requires_grad_()
    whole = supcon_loss(z, data["labels"]), nt_xent_loss(z, data["other"], data["labels"])
    for index, loss in enumerate(whole):
        # means over the 6 nodes of one rank and the 4 of the other
        mean = 0.6 * losses_a[index] + 0.4 * losses_b[index]
        assert torch.allclose(mean, loss, rtol=1e-9)
        assert grads_a[index].isfinite().all() and grads_b[index].abs().sum() > 0

    # the gradient of the sum of the ranks' losses, taken in one process
    def ranks_of(supcon):
        nodes = data["z"].clone().requires_grad_()
        both = torch.cat([nodes, data["other"]], 1) if not supcon else nodes
        names = data["labels"] if supcon else data["labels"].repeat(1, 2)
        logits = both @ both.transpose(1, 2) / 0.1
        itself = torch.eye(both.shape[1], dtype=torch.bool)
        same = (names.unsqueeze(2) == names.unsqueeze(1)) & ~itself
        if supcon:
            below = logits.masked_fill(itself, -torch.inf).logsumexp(2)
            losses = below - (logits * same).sum(2) / same.sum(2)
        else:
            partner = torch.eye(10, dtype=torch.bool).repeat(2, 2) & ~itself
            below = logits.masked_fill(itself | (same & ~partner), -torch.inf).logsumexp(2)
            losses = (below - (logits * partner).sum(2)).view(1, 2, 10).mean(1)
        return torch.autograd.grad(losses[:, :6].mean() + losses[:, 6:].mean(), nodes)[0]

    for index, supcon in enumerate((True, False)):
        assert torch.allclose(
            torch.cat([grads_a[index], grads_b[index]], 1), ranks_of(supcon), rtol=1e-9, atol=1e-12
        )
