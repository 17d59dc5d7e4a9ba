let settings = Settings()
_ = settings
