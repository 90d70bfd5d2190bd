"""What the parts cost, in counts, which do not drift, and in ratios, which hold on a noisy machine."""
