//! What a provider's refusal is about, as far as it decides who is asked next.
//!
//! Most of that is in the status. The body tells what the status doesn't: that
//! waiting is in vain because the account is empty, that another model may
//! have the room or the opinion this one lacks, and, in a stream that began
//! with 200, which status the refusal would have had.

use super::generate::refusal;

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The call is longer than the model can read.
    ContextLength,
    /// The provider would not answer this.
    ContentPolicy,
    /// The account has run dry: waiting doesn't help, another account does.
    Exhausted,
    /// What that status says.
    Status(u16),
}

impl Complaint {
    /// The status it has where the head of the answer told none, being that of a
    /// stream.
    pub fn status(self) -> u16 {
        match self {
            Self::ContextLength | Self::ContentPolicy => 400,
            Self::Exhausted => 429,
            Self::Status(status) => status,
        }
    }
}

/// Codes and words of messages, and what they are about. A code is compared
/// whole, a word (in lower case) is looked for in the message.
const CODES: &[(&str, Complaint)] = &[
    // OpenAI and most compatible servers.
    ("context_length_exceeded", Complaint::ContextLength),
    ("content_policy_violation", Complaint::ContentPolicy),
    ("insufficient_quota", Complaint::Exhausted),
    // Azure OpenAI's filter of prompts.
    ("content_filter", Complaint::ContentPolicy),
    // Mistral, DeepSeek.
    ("context_window_exceeded", Complaint::ContextLength),
    // Anthropic's account without credit.
    ("billing_error", Complaint::Exhausted),
];

const WORDS: &[(&str, Complaint)] = &[
    // Anthropic: "prompt is too long: 3333404 tokens > 200000 maximum".
    ("prompt is too long", Complaint::ContextLength),
    // Ollama: "prompt too long; exceeded max context length by …".
    ("prompt too long", Complaint::ContextLength),
    // vLLM, OpenRouter: "This endpoint's maximum context length is …".
    ("maximum context length", Complaint::ContextLength),
    ("context length exceeded", Complaint::ContextLength),
    ("exceeds the context window", Complaint::ContextLength),
    // Perplexity.
    (
        "length of all messages is too long",
        Complaint::ContextLength,
    ),
    // Gemini: "The input token count (…) exceeds the maximum number of tokens".
    ("input token count", Complaint::ContextLength),
    // Anthropic: "Output blocked by content filtering policy".
    ("content filtering policy", Complaint::ContentPolicy),
    ("content management policy", Complaint::ContentPolicy),
    // DeepSeek's 402, Anthropic's 400 of an empty account.
    ("insufficient balance", Complaint::Exhausted),
    ("credit balance is too low", Complaint::Exhausted),
    // Gemini says 400 of a key.
    ("api key not valid", Complaint::Status(401)),
    ("api key expired", Complaint::Status(401)),
];

/// The statuses that error types stand for, for errors inside a stream
/// (Anthropic's table of errors; OpenAI's error types; google.rpc.Code).
const TYPES: &[(&str, u16)] = &[
    ("overloaded_error", 529),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("tokens", 429),
    ("requests", 429),
    ("api_error", 500),
    ("server_error", 500),
    ("internal_server_error", 500),
    ("timeout_error", 504),
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("RESOURCE_EXHAUSTED", 429),
    ("UNAVAILABLE", 503),
    ("INTERNAL", 500),
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("DEADLINE_EXCEEDED", 504),
];

/// Reads a provider's refusal: its status, where the head told one, and its
/// body, or the data of an error event.
pub fn complaint(status: Option<u16>, body: &[u8]) -> Complaint {
    let said = refusal(body);
    let code = said.code.as_deref().unwrap_or_default();
    let by_code = CODES.iter().find(|(known, _)| *known == code);
    if let Some((_, complaint)) = by_code {
        return *complaint;
    }
    // Words count only where the caller's own text is at fault or the account
    // is: a 500 that quotes a prompt says nothing about its length.
    if matches!(status, None | Some(400 | 402 | 403 | 413 | 422 | 429)) {
        let message = said.message.to_lowercase();
        let by_word = WORDS.iter().find(|(words, _)| message.contains(words));
        if let Some((_, complaint)) = by_word {
            return *complaint;
        }
    }
    if status == Some(402) {
        return Complaint::Exhausted;
    }
    let by_type = TYPES.iter().find(|(known, _)| *known == code);
    let by_type = by_type.map(|(_, status)| *status);
    let numbered = code.parse().ok().filter(|code| (400..600).contains(code));
    Complaint::Status(status.or(by_type).or(numbered).unwrap_or(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refusals_are_about() {
        use Complaint::{ContentPolicy, ContextLength, Exhausted, Status};
        let rows = [
            (
                Some(400),
                r#"{"error":{"message":"too many","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                ContextLength,
            ),
            (
                Some(400),
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 tokens > 2 maximum"}}"#,
                ContextLength,
            ),
            (
                Some(400),
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}"#,
                Exhausted,
            ),
            (
                Some(400),
                r#"{"error":{"code":"content_filter","message":"The response was filtered","status":400}}"#,
                ContentPolicy,
            ),
            (
                Some(429),
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
                Exhausted,
            ),
            (
                Some(429),
                r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
                Status(429),
            ),
            (
                Some(400),
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
                Status(401),
            ),
            (
                None,
                r#"{"error":{"code":504,"message":"late","status":"DEADLINE_EXCEEDED"}}"#,
                Status(504),
            ),
            (Some(402), "no money", Exhausted),
            (
                Some(500),
                r#"{"error":{"message":"failed on: maximum context length"}}"#,
                Status(500),
            ),
            (
                None,
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#,
                Status(529),
            ),
            (
                None,
                r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
                Status(500),
            ),
            (
                None,
                r#"{"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED"}}"#,
                Status(429),
            ),
            (
                None,
                r#"{"error":{"code":404,"message":"gone"}}"#,
                Status(404),
            ),
            (
                None,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"bad tool"}}"#,
                Status(400),
            ),
            (None, "not even JSON", Status(500)),
            (Some(503), "", Status(503)),
        ];
        for (status, body, expected) in rows {
            assert_eq!(complaint(status, body.as_bytes()), expected, "{body}");
        }
    }
}
