"""The settings: three YAML layers, merged and validated into one frozen object of sections."""

from finai_assets.settings.dataset import DatasetSettings, MerchantCategory, MonthSpan, Product, SplitSettings
from finai_assets.settings.generator import GeneratorSettings
from finai_assets.settings.load import CONFIG_FOLDER, Settings, available_datasets, load_settings

__all__ = [
    "CONFIG_FOLDER",
    "DatasetSettings",
    "GeneratorSettings",
    "MerchantCategory",
    "MonthSpan",
    "Product",
    "Settings",
    "SplitSettings",
    "available_datasets",
    "load_settings",
]
