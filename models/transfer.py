"""Loss on another distribution of text, from the loss on the training distribution."""

import numpyro.distributions as dist

from bayescale.law import Law, Param, derived, stated


class TransferOffset(Law):
    """L_transfer(L) = slope L + delta

    Kaplan et al. 2020 (arXiv:2001.08361), section 3.2.2: a constant offset, so slope is pinned at 1.

    The paper calls the offset small and very slowly growing: TransferOffset(slope="Normal(1, 0.05)") lets it grow.
    """

    metric = "transfer_loss"
    slope: Param = 1.0
    delta: Param = stated(
        "L_transfer(L0) / L_transfer0",
        dist.LogNormal(0.0, 0.3),
        lambda q, law, at: q * at.transfer_loss - law.slope * at.loss,
    )

    def transfer_loss(self, loss):
        return self.slope * loss + self.delta

    @derived
    def offset(self, loss):
        """L_transfer - L at a loss L on the training distribution, nats/token."""
        return self.transfer_loss(loss) - loss
