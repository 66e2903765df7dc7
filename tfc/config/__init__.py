"""The configuration of one experiment: keys, checks, and TOML files."""

from tfc.config.keys import ClusteringConfig as ClusteringConfig
from tfc.config.keys import CommunicationConfig as CommunicationConfig
from tfc.config.keys import DataConfig as DataConfig
from tfc.config.keys import ExperimentConfig as ExperimentConfig
from tfc.config.keys import FaultsConfig as FaultsConfig
from tfc.config.keys import ModelConfig as ModelConfig
from tfc.config.keys import NetworkConfig as NetworkConfig
from tfc.config.keys import Range as Range
from tfc.config.keys import ServerConfig as ServerConfig
from tfc.config.keys import ServerOptimizerConfig as ServerOptimizerConfig
from tfc.config.keys import TrainingConfig as TrainingConfig
from tfc.config.loading import PRESETS as PRESETS
from tfc.config.loading import describe as describe
from tfc.config.loading import flat as flat
from tfc.config.loading import for_comparison as for_comparison
from tfc.config.loading import from_dict as from_dict
from tfc.config.loading import load as load
from tfc.config.loading import preset_names as preset_names
from tfc.config.loading import to_dict as to_dict
from tfc.config.loading import to_toml as to_toml
