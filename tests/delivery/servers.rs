//! Servers that can be stopped and started while others use them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::say;
use crate::settings::variable;

/// A server that a script of `tests/live` started.
pub(crate) struct Server {
    script: &'static str,
    folder: String,
    stop: &'static str,
    start: &'static str,
}

impl Server {
    pub(crate) fn kafka() -> Option<Self> {
        Self::named("kafka.sh", "KAFKA_LIVE_DIR", "stop", "start")
    }

    pub(crate) fn elasticsearch() -> Option<Self> {
        Self::named("elasticsearch.sh", "ELASTICSEARCH_LIVE_DIR", "halt", "resume")
    }

    pub(crate) fn opensearch() -> Option<Self> {
        Self::named("opensearch.sh", "OPENSEARCH_LIVE_DIR", "halt", "resume")
    }

    fn named(
        script: &'static str,
        folder: &'static str,
        stop: &'static str,
        start: &'static str,
    ) -> Option<Self> {
        let found = variable(folder);
        if found.is_none() {
            say(format!("{folder} is not set: its server is not stopped"));
        }
        found.map(|folder| Self { script, folder, stop, start })
    }

    /// Stops it; its data stays. It is started again at the latest when what is given back is dropped.
    pub(crate) fn halt(&self) -> Down<'_> {
        self.tell(self.stop);
        Down(self)
    }

    fn tell(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/live").join(self.script);
        let told = Command::new(script).args([command, &self.folder]).stdin(Stdio::null()).output().unwrap();
        assert!(
            told.status.success() || std::thread::panicking(),
            "{} {command}: {}",
            self.script,
            String::from_utf8_lossy(&told.stderr)
        );
    }
}

/// A server that is stopped.
pub(crate) struct Down<'s>(&'s Server);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.0.tell(self.0.start);
    }
}
