//! What a person does by hand in the course of a renewal, in another program, as a programme says it.

use std::path::Path;

use serde::Deserialize;

/// One such step: one instruction, and perhaps something to copy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HandStep {
    /// What to do, in the words of the other program; `{file}` stands for the path of the new certificate.
    pub instruction: String,
    /// What is to be copied into the other program; likewise.
    pub copy: Option<String>,
}

impl HandStep {
    /// Whether a person can be told it.
    pub(super) fn is_sound(&self) -> bool {
        let plain = |text: &str| !text.trim().is_empty() && text.chars().count() <= 1000 && !text.contains(char::is_control);
        plain(&self.instruction) && self.copy.as_deref().is_none_or(plain)
    }

    /// Instruction and what is to be copied, for the new certificate at this path.
    pub fn of(&self, file: &Path) -> (String, Option<String>) {
        let filled = |text: &str| text.replace("{file}", &file.display().to_string());
        (filled(&self.instruction), self.copy.as_deref().map(filled))
    }
}
