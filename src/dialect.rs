//! The wire languages of LLM APIs, as pure functions over bytes.
