"""Questions that the choice of SNS and SQS FIFO leaves open, each answered by a run."""
