"""The one source of defaults, and the only package that touches environment variables.

Settings come from the command line, the environment (COVEY_MAX_NUM_SEQS=4), covey.toml and the defaults, in this order
of precedence. Unknown names are refused with a suggestion. This package knows nothing of models or of torch.

    settings = load_settings({"max_num_seqs": "4"})        # Settings(target, drafters, engine, sampling, server, sources)
"""

from covey.config.catalogue import (
    ALERTS,
    DEFAULT_TARGET,
    EngineConfig,
    ServerConfig,
    all_options,
    engine_options,
    sampling_options,
    server_options,
)
from covey.config.environment import Secrets, cache_dir, debug, quiet_libraries, secrets
from covey.config.option import ConfigError, Option, unknown
from covey.config.settings import FILE_NAME, Settings, load_settings

__all__ = [
    "ALERTS",
    "DEFAULT_TARGET",
    "FILE_NAME",
    "ConfigError",
    "EngineConfig",
    "Option",
    "Secrets",
    "ServerConfig",
    "Settings",
    "all_options",
    "cache_dir",
    "debug",
    "engine_options",
    "load_settings",
    "quiet_libraries",
    "sampling_options",
    "secrets",
    "server_options",
    "unknown",
]
