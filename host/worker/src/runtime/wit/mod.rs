//! The contract's imports, one module a version of `package slipway:stage`.

pub mod v0;
