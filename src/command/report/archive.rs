//! Writes files into a `tar.gz`, for the caller alone to read. The same files always give the same bytes.

use flate2::{Compression, GzBuilder};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The mode of the archive and of the files in the archive: the owner reads and writes.
const MODE: u32 = 0o600;

/// Writes the archive. A file that exists is only replaced with `force`, and then at once: another process sees the
/// old file or the new one.
///
/// # Errors
/// The file exists, or can't be written.
pub(super) fn write(path: &Path, force: bool, files: BTreeMap<String, String>) -> io::Result<()> {
    let bytes = archive(files)?;
    if !force {
        return fill(create(path)?, path, &bytes);
    }
    let beside = beside(path);
    // A rest of an earlier process of the same id.
    let _ = fs::remove_file(&beside);
    fill(create(&beside)?, &beside, &bytes)?;
    fs::rename(&beside, path)
}

/// Writes the bytes, or removes the file.
fn fill(mut file: File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// A new file. Never follows a link.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    options.open(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn archive(files: BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let gz = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gz);
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(0);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("cpo-archive-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn files(text: &str) -> BTreeMap<String, String> {
        [
            ("f/b".to_owned(), text.to_owned()),
            ("f/a".to_owned(), String::new()),
        ]
        .into()
    }

    #[test]
    fn a_file_is_only_replaced_by_force_and_only_its_owner_reads_the_file() {
        let folder = folder("force");
        let path = folder.join("report.tar.gz");
        write(&path, false, files("one")).expect("written");
        let first = fs::read(&path).expect("read");
        let refused = write(&path, false, files("two")).expect_err("exists");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("read"), first);
        write(&path, true, files("two")).expect("replaced");
        assert_ne!(fs::read(&path).expect("read"), first);
        write(&path, true, files("one")).expect("replaced");
        assert_eq!(
            fs::read(&path).expect("read"),
            first,
            "the same files, other bytes"
        );
        assert_eq!(
            fs::read_dir(&folder).expect("read").count(),
            1,
            "a rest stays"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).expect("read").permissions().mode();
            assert_eq!(mode & 0o777, MODE);
        }
        fs::remove_dir_all(folder).expect("removed");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = folder("link");
        let (link, target) = (folder.join("link"), folder.join("target"));
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        write(&link, false, files("x")).expect_err("a link");
        assert!(!target.exists());
        fs::remove_dir_all(folder).expect("removed");
    }
}
