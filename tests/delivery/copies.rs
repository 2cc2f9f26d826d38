//! Copies of the program: started, killed, told to stop.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::settings::program;

/// How long a copy may take to stop in good order: the drain, and the steps after it.
const STOPPING: Duration = Duration::from_secs(60);

/// One copy, with a folder of its own; it may live several times.
pub(crate) struct Copy {
    pub(crate) name: String,
    folder: PathBuf,
    child: Option<Child>,
    pub(crate) starts: usize,
}

impl Copy {
    /// A copy of this configuration; it does not run yet.
    pub(crate) fn new(folder: &Path, name: &str, configuration: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stage.toml"), configuration).unwrap();
        Self { name: name.to_owned(), folder, child: None, starts: 0 }
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none());
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(program());
        command.args(["run", "--config", "stage.toml"]).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(File::create(self.path("out")).unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.starts += 1;
    }

    /// SIGKILL. Panics if the copy had ended by itself.
    pub(crate) fn kill(&mut self) {
        self.must_run();
        assert!(self.kill_unless_ended(), "{} ended by itself:\n{}", self.name, self.log_tail());
    }

    /// SIGKILL; false if the copy had ended by itself, in good order.
    pub(crate) fn kill_unless_ended(&mut self) -> bool {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.signal() == Some(9) {
            return true;
        }
        assert!(matches!(status.code(), Some(0 | 3)), "{}: {status}:\n{}", self.name, self.log_tail());
        false
    }

    /// Whether it ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Whatever happens around it, a stage waits; it does not end.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended by itself, {status}:\n{}", self.name, self.log_tail());
        }
    }

    /// SIGTERM, upon which it must end with 0.
    pub(crate) fn stop(&mut self) {
        self.must_run();
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let deadline = Instant::now() + STOPPING;
        loop {
            if let Some(status) = self.ended() {
                assert!(status.success(), "{} stopped with {status}:\n{}", self.name, self.log_tail());
                return;
            }
            assert!(Instant::now() < deadline, "{} does not stop:\n{}", self.name, self.log_tail());
            sleep(Duration::from_millis(20));
        }
    }

    /// What another command of the program says of its configuration, while it runs or not.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let mut asking = Command::new(program());
        asking.args(command).args(["--config", "stage.toml"]).current_dir(&self.folder);
        String::from_utf8(asking.output().unwrap().stdout).unwrap()
    }

    /// Waits until its log says something.
    pub(crate) fn wait_for_log(&mut self, what: &str) {
        let deadline = Instant::now() + STOPPING;
        while !self.log().contains(what) {
            self.must_run();
            assert!(Instant::now() < deadline, "{}: no {what:?} in the log:\n{}", self.name, self.log_tail());
            sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// The last lines of the log.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
