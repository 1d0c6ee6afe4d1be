"""The commands of `recon`, by what they do. None imports anything heavy before it runs."""
