//! Reading logs back.
