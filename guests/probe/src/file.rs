//! The files a function is given, by the calls of `wasi:filesystem` themselves: this
//! guest is built for a target whose standard library knows no files.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

/// The most that one read asks for.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// The content of a file.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let file = open(name, OpenFlags::empty(), DescriptorFlags::READ)?;
    let mut content = Vec::new();
    loop {
        let (piece, is_end) = file.read(READ_BYTES_MAX, content.len() as u64).ok()?;
        content.extend(piece);
        if is_end {
            return Some(content);
        }
    }
}

/// Whether a file could be written to, or made.
pub(crate) fn write(name: &str) -> bool {
    let file = open(name, OpenFlags::CREATE, DescriptorFlags::WRITE);
    file.is_some_and(|file| file.write(b"x", 0).is_ok())
}

fn open(name: &str, how: OpenFlags, flags: DescriptorFlags) -> Option<Descriptor> {
    let folder = crate::variable("GAPLESS_FILES")?;
    let mut directories = get_directories().into_iter();
    let (directory, _) = directories.find(|(_, path)| *path == folder)?;
    directory.open_at(PathFlags::empty(), name, how, flags).ok()
}
