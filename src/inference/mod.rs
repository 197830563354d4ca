//! Model folders and engines: tensors in, tensors out.
