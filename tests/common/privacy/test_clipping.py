import pytest
import torch

from common.privacy.clipping import clip


def test_an_update_outside_the_ball_lands_on_its_surface() -> None:
    # ||(3, 4)|| = 5, so every entry is scaled by 1/5.
    assert clip(torch.tensor([[3.0, 4.0]]), clip_norm=1.0)[0].tolist() == pytest.approx([0.6, 0.8])


def test_an_update_inside_the_ball_is_left_as_it_is() -> None:
    update = torch.tensor([[0.3, -0.4], [0.0, 0.0]])
    assert torch.equal(clip(update, clip_norm=0.5000001), update)


def test_each_row_is_clipped_by_itself() -> None:
    norms = clip(torch.randn(50, 7) * 10, clip_norm=2.0).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((50,), 2.0))


def test_nan_is_not_hidden() -> None:
    assert clip(torch.tensor([[float("nan"), 1.0]]), clip_norm=1.0).isnan().any()
