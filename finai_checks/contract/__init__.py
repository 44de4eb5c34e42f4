"""C05: raw tables of a month keep the data contract."""
