//! The kernels with emulated threads (kernels/host.cpp).

use std::ffi::c_void;

use crate::{Backend, Error, Memory, params::Kernel};

unsafe extern "C" {
    fn metaphased_host_launch(kernel: u32, grid_x: u32, grid_y: u32, threads: u32, args: *mut *mut c_void) -> i32;
}

pub struct Host;

struct HostMemory(Vec<u64>);

impl Memory for HostMemory {
    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

impl Backend for Host {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, Error> {
        Ok(Box::new(HostMemory(vec![0; bytes.div_ceil(8)])))
    }

    unsafe fn write(&mut self, to: u64, from: &[u8]) -> Result<(), Error> {
        // SAFETY: the caller says that there is room; buffers of different owners do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    unsafe fn write_ahead(&mut self, to: u64, from: &[u8]) -> Result<(), Error> {
        // SAFETY: as for `write`.
        unsafe { self.write(to, from) }
    }

    fn follow(&mut self) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn read(&mut self, from: u64, to: &mut [u8]) -> Result<(), Error> {
        // SAFETY: as for `write`.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn zero(&mut self, to: u64, bytes: usize) -> Result<(), Error> {
        // SAFETY: the caller says that there is room.
        unsafe { std::ptr::write_bytes(to as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 2],
        threads: u32,
        args: &mut [*mut c_void],
    ) -> Result<(), Error> {
        // SAFETY: the caller answers for the arguments.
        let known = unsafe { metaphased_host_launch(kernel as u32, grid[0], grid[1], threads, args.as_mut_ptr()) };
        if known == 0 { Err(Error::Failed { what: "launch", said: format!("no kernel {kernel:?}") }) } else { Ok(()) }
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self) -> Option<&crate::gpu::Gpu> {
        None
    }

    fn describe(&self) -> String {
        "the host with emulated threads".to_owned()
    }
}
