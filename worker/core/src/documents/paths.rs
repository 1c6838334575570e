//! The paths of documents that other documents refer to.

/// The path of the OpenAPI document, for registries and programs.
pub const OPENAPI_PATH: &str = "/openapi.json";
/// The path of the text on what is sold, for models.
pub const LLMS_PATH: &str = "/llms.txt";
/// The path of the guide to buying, for agents.
pub const SKILLS_PATH: &str = "/skills.md";
/// The path of the icon.
pub const ICON_PATH: &str = "/favicon.ico";
