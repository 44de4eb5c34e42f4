"""The settings: three YAML layers, merged and validated into one frozen object of sections."""

from finai_assets.settings.dataset import (
    Benefit,
    DatasetSettings,
    MerchantCategory,
    MonthSpan,
    Product,
    ProductTerms,
    SplitSettings,
)
from finai_assets.settings.folders import CONFIG_FOLDER, ConfigFolders, config_folders
from finai_assets.settings.generator import GeneratorSettings
from finai_assets.settings.load import Settings, available_datasets, load_settings

__all__ = [
    "CONFIG_FOLDER",
    "Benefit",
    "ConfigFolders",
    "DatasetSettings",
    "GeneratorSettings",
    "MerchantCategory",
    "MonthSpan",
    "Product",
    "ProductTerms",
    "Settings",
    "SplitSettings",
    "available_datasets",
    "config_folders",
    "load_settings",
]
