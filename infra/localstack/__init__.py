"""What LocalStack needs beyond AWS: somebody who puts back what it forgets."""
