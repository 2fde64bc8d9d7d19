"""Several ranks compute one model: processes that are started, given orders, and exchange tensors."""
