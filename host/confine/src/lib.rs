//! What a process gives up before it runs what is not trusted. Nothing here can be taken back, and
//! whatever the process starts has given it up too.

#[cfg(target_os = "linux")]
pub mod system_calls;
