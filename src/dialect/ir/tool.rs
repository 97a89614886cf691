//! What the model may call.

use super::{At, CacheMark, Json, Text};

/// One tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool<'a> {
    /// What it is.
    pub kind: ToolKind<'a>,
    /// The caller's wish that the provider keep the prompt up to here.
    pub cache: Option<CacheMark>,
    /// Where the caller wrote it.
    pub at: At,
}

impl<'a> Tool<'a> {
    /// What it is called, where it is the caller's.
    pub fn name(&self) -> Option<&Text<'a>> {
        match &self.kind {
            ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
            ToolKind::WebSearch | ToolKind::Hosted(_) => None,
        }
    }

    /// Leaves of `tools` those that are allowed: to a model, one that it must
    /// not use is as good as none. A mark on one that goes is one on the
    /// beginning before it.
    pub fn offer_only(tools: &mut Vec<Self>, is_allowed: impl Fn(&Self) -> bool) {
        for tool in std::mem::take(tools) {
            if is_allowed(&tool) {
                tools.push(tool);
            } else if let (Some(mark), Some(last)) = (tool.cache, tools.last_mut()) {
                last.cache.get_or_insert(mark);
            }
        }
    }
}

/// What tools there are.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind<'a> {
    /// A function of the caller's.
    Function {
        /// Its name.
        name: Text<'a>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The JSON schema of its arguments; none means no arguments.
        parameters: Option<Json<'a>>,
        /// Whether the arguments must fit the schema exactly.
        strict: Option<bool>,
    },
    /// A tool of the caller's that takes free text (OpenAI's `custom`).
    Custom {
        /// Its name.
        name: Text<'a>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The grammar of its input, as chat has it.
        format: Option<Json<'a>>,
    },
    /// The provider searches the web. Options beyond that aren't carried.
    WebSearch,
    /// Any other tool that the provider runs, by the caller's name for its
    /// type. Lost to others.
    Hosted(Text<'a>),
}

/// Which tools the model must use.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice<'a> {
    /// It may.
    Auto,
    /// It must not.
    None,
    /// It must use one.
    Required,
    /// It must use this one.
    Named(Text<'a>),
}
