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
from finai_assets.settings.generator import GeneratorSettings
from finai_assets.settings.load import CONFIG_FOLDER, Settings, available_datasets, load_settings

__all__ = [
    "CONFIG_FOLDER",
    "Benefit",
    "DatasetSettings",
    "GeneratorSettings",
    "MerchantCategory",
    "MonthSpan",
    "Product",
    "ProductTerms",
    "Settings",
    "SplitSettings",
    "available_datasets",
    "load_settings",
]
