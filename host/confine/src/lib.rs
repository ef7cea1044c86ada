//! What a process gives up before it runs what is not trusted. Nothing here can be taken back, and all of
//! it holds for what the process starts afterwards.

pub mod files;
pub mod process;
pub mod service;
pub mod system_calls;
pub mod wire;
